// A client as v2's front end has it; says one thing and prints what it hears as lines of JSON.
const { io } = require("socket.io-client");

const [url, token, text] = process.argv.slice(2);
const socket = io(url, {
  query: { token },
  transports: ["websocket", "polling"],
  timeout: 20000,
  reconnection: true,
  reconnectionAttempts: 6,
  reconnectionDelay: 1500,
  reconnectionDelayMax: 8000,
});
const say = (name, told) => console.log(JSON.stringify({ name, told, by: socket.io.engine.transport.name }));

socket.on("connect", () => {
  socket.emit("ping", 17);
  socket.emit("user_message", { text, timestamp: new Date().toISOString(), language: "en" });
});
for (const name of ["pong", "typing", "agent_response", "error"]) socket.on(name, (told) => say(name, told));
socket.on("connect_error", (error) => { say("connect_error", error.message); process.exit(1); });
socket.on("stopTyping", (told) => { say("stopTyping", told); socket.disconnect(); });
