exports.twice = (n) => 2 * n;
Object.assign(exports, { ['hid' + 'den']: () => 'found' });
