// Drives a Daytona with one of the official SDKs, a step at a time: for each line on stdin the next step is done, and
// what it gave is printed as one line. What it must give stands in steps_test.go, not here.
'use strict'

const readline = require('node:readline')

const older = process.env.SDK.endsWith('0.154')
const sdk = require(process.env.SDK)
const client = (more) => new sdk.Daytona({ apiKey: process.env.KEY, apiUrl: process.env.URL, ...more })
const c = { sdk, older, client, daytona: client(), pick, listed, missing, until, image: process.env.IMAGE }

const steps = [
  ...require('./steps/sandboxes.cjs'),
  ...require('./steps/processes.cjs'),
  ...require('./steps/files.cjs'),
  ...require('./steps/snapshots.cjs'),
  ...require('./steps/lifecycle.cjs'),
]

// pick takes the named fields of an object.
function pick(from, ...names) {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}

// listed gives the sandboxes that a list finds: the older SDK gives a page, the current one all of them one by one.
async function listed(labels) {
  const answer = c.daytona.list(older ? labels : { labels })
  if (!(Symbol.asyncIterator in answer)) return (await answer).items
  const all = []
  for await (const sandbox of answer) all.push(sandbox)
  return all
}

// missing says whether there is no sandbox of this id.
function missing(id) {
  return c.daytona.get(id).then(() => false, (e) => e.statusCode === 404)
}

// until asks again until the answer is true.
async function until(ask) {
  while (!(await ask())) await new Promise((again) => setTimeout(again, 20))
}

function failure(e) {
  return { error: { class: e.constructor.name, statusCode: e.statusCode, code: e.code, message: e.message } }
}

async function main() {
  let next = 0
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    const [name, run] = steps[next++] ?? []
    if (!name) break
    const got = await Promise.resolve(run(c)).catch(failure)
    process.stdout.write(JSON.stringify({ step: name, got: got ?? null }) + '\n')
  }
  process.exit(0) // the current SDK keeps looking for an event socket, which it need not have
}

main()
