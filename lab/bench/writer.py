"""Writes to a cluster 100 times a second until its standard input ends, then prints what became of it as JSON.

Usage: writer.py DIRECTORY ADDRESS..., with bench.crt, bench.key and ca.crt in the directory. Runs as the lab's operator.

A write is due every 10 ms whatever became of the one before; each goes to the members in turn, and to the next one at
once when a member refuses it. That is what a client with several endpoints does, and what gaps are measured with.

It stands for a client on a machine of its own, so no other process here keeps it from the processor.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import grpc

EVERY = 0.01
ATTEMPT = 3  # seconds
GIVE_UP = 15
PREFIX = b"bench/"


def field(number, data):
    """One length-delimited field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(message):
    """(number, value) of each field of a message; values are bytes or integers."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, at = message[at : at + value], at + value
        yield tag >> 3, value


def key(number):
    return PREFIX + b"%09d" % number


class Writer:
    def __init__(self, directory, addresses):
        read = lambda name: (Path(directory) / name).read_bytes()
        secured = grpc.ssl_channel_credentials(read("ca.crt"), read("bench.key"), read("bench.crt"))
        # After a member was away it is tried again soon: the default waits for up to two minutes.
        options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
        self.channels = [grpc.aio.secure_channel(f"{a}:2379", secured, options) for a in addresses]
        self.acked = []
        self.failed_attempts = 0

    def call(self, channel, method, message, limit):
        return channel.unary_unary(f"/etcdserverpb.KV/{method}")(message, timeout=limit)

    async def put(self, number):
        message = field(1, key(number)) + field(2, b"%d" % number)
        until = time.monotonic() + GIVE_UP
        attempt = number
        while time.monotonic() < until:
            try:
                await self.call(self.channels[attempt % len(self.channels)], "Put", message, ATTEMPT)
            except grpc.aio.AioRpcError:
                self.failed_attempts += 1
                attempt += 1
                await asyncio.sleep(0.002)
            else:
                self.acked.append((time.monotonic(), number))
                return

    async def stored(self):
        """The numbers that are in the cluster, by a linearizable read."""
        everything = field(1, PREFIX) + field(2, PREFIX[:-1] + b"0")
        for channel in self.channels:
            try:
                answer = await self.call(channel, "Range", everything, 10)
                break
            except grpc.aio.AioRpcError:
                continue
        numbers = set()
        for number, value in fields(answer):
            if number == 2:
                numbers.update(int(v) for n, v in fields(value) if n == 5)
        await self.call(channel, "DeleteRange", everything, 10)
        return numbers

    async def run(self):
        running, number = set(), 0
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        due = time.monotonic()
        while not ended.done():
            task = asyncio.create_task(self.put(number))
            running.add(task)
            task.add_done_callback(running.discard)
            if number == 100:
                print("writing", flush=True)
            number, due = number + 1, due + EVERY
            await asyncio.sleep(max(0, due - time.monotonic()))
        await asyncio.gather(*running)
        # What was in flight at the end may take seconds, and no later write fills them.
        times = sorted(at for at, _ in self.acked if at < due)
        gaps = [b - a for a, b in zip(times, [*times[1:], due])]
        lost = {n for _, n in self.acked} - await self.stored()
        return {
            "written": number,
            "acks": len(self.acked),
            "failed_attempts": self.failed_attempts,
            "longest_gap_ms": max(gaps) * 1000,
            "lost": len(lost),
        }


async def main():
    print(json.dumps(await Writer(sys.argv[1], sys.argv[2:]).run()))


os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
asyncio.run(main())
