// v2's front end in short: how its hooks connect and chat; prints what it is told as lines of JSON.
const { io } = require("socket.io-client");

const [url, token, text] = process.argv.slice(2);
const socket = io(url, {
  query: { token },
  auth: { token },
  transports: ["websocket", "polling"],
  timeout: 20000,
  reconnectionAttempts: 6,
});
const say = (name, told) => console.log(JSON.stringify({ name, told }));

socket.on("connect", () => socket.emit("ping", 1700000000000));
socket.on("pong", (told) => {
  say("pong", told);
  socket.emit("user_message", { text, timestamp: new Date().toISOString(), language: "en" });
});
for (const name of ["connected", "typing", "agent_response"]) socket.on(name, (told) => say(name, told));
socket.on("error", (told) => { say("error", told); socket.disconnect(); });
socket.on("connect_error", (error) => { say("connect_error", error.message); process.exit(1); });
socket.on("stopTyping", () => { say("stopTyping"); socket.disconnect(); });
