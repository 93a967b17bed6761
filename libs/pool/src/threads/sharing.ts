/** Local primitives in arguments and results: their handles travel, and become the same primitive on the other side. */
export { attachTravelling as attach, shareTravelling as share } from '@heddle/primitives/internal';
