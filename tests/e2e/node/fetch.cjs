// Posts JSON as a page does; prints the answer as one line of JSON.
const [url, body] = process.argv.slice(2);

fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body })
  .then(async (answer) => {
    const headers = Object.fromEntries(answer.headers);
    console.log(JSON.stringify({ status: answer.status, headers, body: await answer.json() }));
  });
