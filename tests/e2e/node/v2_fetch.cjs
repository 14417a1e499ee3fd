// v2's example as the old README has it, in the browser's words; prints status and body.
const [url, message] = process.argv.slice(2);
fetch(`${url}/api/chat`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ message }),
})
  .then(async (answer) => console.log(JSON.stringify({ status: answer.status, body: await answer.json() })))
  .catch((error) => { console.error(error); process.exit(1); });
