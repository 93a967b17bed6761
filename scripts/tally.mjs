// A vitest reporter that leaves the numbers of a run where the test command finds them ($HEDDLE_TALLY).
import { writeFileSync } from 'node:fs';
import process from 'node:process';

export default class Tally {
  onTestRunEnd(modules, unhandled) {
    let passed = 0;
    let failed = unhandled.length;
    for (const module of modules) {
      let broken = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        if (state === 'failed') broken++;
      }
      // A file that does not load, or whose hooks fail, has failed though none of its tests did.
      failed += broken === 0 && module.state() === 'failed' ? 1 : broken;
    }
    writeFileSync(process.env.HEDDLE_TALLY, JSON.stringify({ passed, failed }));
  }
}
