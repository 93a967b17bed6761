/** Never loaded: it does not end. */
for (;;);
