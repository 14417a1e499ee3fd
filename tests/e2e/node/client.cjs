// The seed README's example, and a streaming one; prints what it is told as lines of JSON.
const { io } = require("socket.io-client");

const [url, token, mode, transports] = process.argv.slice(2);
const socket = io(url, { auth: { token }, transports: transports.split(","), reconnection: false });
const say = (name, told) => console.log(JSON.stringify({ name, told, by: socket.io.engine.transport.name }));

const payload = { taskType: "system.echo", parameters: { payload: "hello" } };
if (mode === "stream") payload.preferences = { streaming: true };

socket.on("connect", () => {
  const send = () => socket.emit("mcp:message", { messageType: "TASK_REQUEST", payload });
  if (transports.startsWith("polling,") && socket.io.engine.transport.name === "polling") {
    socket.io.engine.once("upgrade", send); // polling first, then the upgrade
  } else {
    send();
  }
});
socket.on("mcp:event", (told) => say("mcp:event", told));
socket.on("mcp:error", (told) => { say("mcp:error", told); socket.disconnect(); });
socket.on("connect_error", (error) => { say("connect_error", error.message); process.exit(1); });
socket.on("mcp:response", (told) => { say("mcp:response", told); socket.disconnect(); });
