/** What the session of a worker's thread is called, so that the coordinator knows when all have left. */
export const seatName = 'index thread';

/** Ms without a task until a thread leaves. */
export const idleTime = 250;
