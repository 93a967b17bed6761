/** Never loaded: it waits for what does not come. */
setInterval(() => {}, 1000);
await new Promise(() => {});
