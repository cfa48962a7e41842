// A server of Fluent Forward by Fluentd's own library for JavaScript: `server.js PORT FILE KEY` appends the message of each
// entry to FILE before the library acknowledges its chunk. Without KEY it asks for none.
const fs = require("fs");
const { FluentServer } = require("@fluent-org/logger");

const [port, path, key] = process.argv.slice(2);
const file = fs.openSync(path, "a");

class Server extends FluentServer {
  onEntry(tag, time, record) {
    fs.writeSync(file, JSON.stringify([tag, record.message, record.id]) + "\n");
  }
}

const security = key
  ? { serverHostname: "server", sharedKey: key, authorize: true, userDict: { logbraid: "secret" } }
  : undefined;
new Server({ listenOptions: { host: "127.0.0.1", port: Number(port) }, security })
  .listen()
  .then(() => console.log("ready"));
