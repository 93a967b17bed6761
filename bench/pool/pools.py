"""The process of one of concurrent.futures' executors: one order a line, one answer a line, as contender.process.ts."""

import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait

CHUNK = 64


def noop(_=0):
    pass


def burn(steps):
    word = 1
    for _ in range(steps):
        word ^= (word << 13) & 0xFFFFFFFF
        word ^= word >> 17
        word ^= (word << 5) & 0xFFFFFFFF
    return word


def together(pool, count, steps):
    futures = [pool.submit(burn, steps) if steps else pool.submit(noop) for _ in range(count)]
    wait(futures)
    for future in futures:
        future.result()


def latency(pool, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        pool.submit(noop).result()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def obey(pool, order):
    what, count = order["what"], order.get("count", 1)
    if what == "rate":
        return seconds(lambda: together(pool, count, 0))
    if what == "chunked":
        # Only processes chunk; threads take one by one whatever they are told.
        if isinstance(pool, ThreadPoolExecutor):
            return None
        return seconds(lambda: sum(1 for _ in pool.map(noop, [0] * count, chunksize=CHUNK)))
    if what == "latency":
        return latency(pool, count)
    return seconds(lambda: together(pool, count, order["steps"]))


def main():
    kind = ThreadPoolExecutor if "Thread" in sys.argv[1] else ProcessPoolExecutor
    pool = None
    for line in sys.stdin:
        order = json.loads(line)
        value = 0
        if order["what"] == "open":
            if pool is not None:
                pool.shutdown()
            pool = kind(order["threads"])
            together(pool, 4, 0)
        else:
            value = obey(pool, order)
        print(json.dumps({"value": value}), flush=True)
    if pool is not None:
        pool.shutdown()


if __name__ == "__main__":
    main()
