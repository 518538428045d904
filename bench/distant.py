"""A relay to a server that makes it seem far away: python distant.py LISTEN-PORT PORT MILLISECONDS (there and back).

What comes is handed on half of that later, and in order; connecting takes a round trip of its own, as it would. For `upstream.py`.
"""

import asyncio
import sys


class Distance:
    """Relays connections to `port`, `delay` seconds each way."""

    def __init__(self, port: int, delay: float) -> None:
        self.port, self.delay = port, delay

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * self.delay)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(self.relay(reader, there_writer), self.relay(there_reader, writer))

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, on_its_way = asyncio.get_running_loop(), asyncio.Queue()

        async def deliver() -> None:
            while (parcel := await on_its_way.get()) is not None:
                due, data = parcel
                await asyncio.sleep(due - loop.time())
                writer.write(data)
                await writer.drain()
            writer.close()

        delivering = asyncio.create_task(deliver())
        try:
            while data := await reader.read(1 << 16):
                on_its_way.put_nowait((loop.time() + self.delay, data))
        except ConnectionError:
            pass
        await asyncio.sleep(self.delay)
        on_its_way.put_nowait(None)
        await asyncio.gather(delivering, return_exceptions=True)


async def main(listen: int, port: int, milliseconds: float) -> None:
    server = await asyncio.start_server(Distance(port, milliseconds / 2000).connected, "127.0.0.1", listen)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
