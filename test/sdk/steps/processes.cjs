'use strict'

const exec = (c, command, session = 's') => c.box.process.executeSessionCommand(session, { command })
const outcome = (r) => ({ exitCode: r.exitCode, stdout: r.stdout, stderr: r.stderr })

module.exports = [
  ['directories', async (c) => {
    const home = await c.box.getUserHomeDir()
    const work = await c.box.getWorkDir()
    return { absolute: home.startsWith('/'), below: work.startsWith(home) }
  }],

  ['execute', async (c) => {
    const r = await c.box.process.executeCommand('echo "$GREETING $WHO"; pwd; echo wrong >&2; exit 3', '/', { WHO: 'you' })
    return c.pick(r, 'exitCode', 'result')
  }],
  ['execute in a folder that is not there', async (c) => ({ exitCode: (await c.box.process.executeCommand('true', '/no/such')).exitCode })],
  ['execute beyond its time', (c) => c.box.process.executeCommand('sleep 30', undefined, undefined, 1)],
  ['execute within its time', async (c) => c.pick(await c.box.process.executeCommand('echo quick', undefined, undefined, 30), 'exitCode', 'result')],
  ['execute nothing', (c) => c.older || c.box.process.executeCommand('  ')],
  ['execute with a name that is none', (c) => c.older || c.box.process.executeCommand('true', undefined, { 'A-B': 'c' })],

  ['create a session', (c) => c.box.process.createSession('s')],
  ['create it again', (c) => c.box.process.createSession('s')],
  ['create the reserved one', (c) => c.box.process.createSession('entrypoint')],
  ['get a session', async (c) => c.box.process.getSession('s')],
  ['get a session that is not there', (c) => c.box.process.getSession('nobody')],
  ['list sessions', (c) => c.box.process.listSessions()],
  ['the entrypoint session', async (c) => {
    const s = await c.box.process.getEntrypointSession()
    return { sessionId: s.sessionId, id: s.commands[0].id }
  }],
  ['the entrypoint log', async (c) => typeof (await c.box.process.getEntrypointLogs())],

  ['run in a session', async (c) => outcome(await exec(c, "echo out; echo err >&2; printf 'no newline'; (exit 3)"))],
  ['leave something in the session', async (c) => outcome(await exec(c, 'cd /; export LEFT=behind; f() { echo "f $1"; }'))],
  ['find it again', async (c) => outcome(await exec(c, 'pwd; echo $LEFT; f x'))],
  ['an unknown command', async (c) => (await exec(c, 'no-such-command-here')).exitCode],
  ['run in a session that is not there', (c) => exec(c, 'true', 'nobody')],
  ['run nothing', (c) => exec(c, '  ')],

  ['start a command', async (c) => {
    const r = await c.box.process.executeSessionCommand('s', { command: 'read line; echo "got $line"; echo fin >&2', runAsync: true })
    c.cmd = r.cmdId
    return { id: typeof r.cmdId, ended: r.exitCode ?? null }
  }],
  ['look at it while it runs', async (c) => {
    const command = await c.box.process.getSessionCommand('s', c.cmd)
    return { same: command.id === c.cmd, ended: 'exitCode' in command, command: command.command }
  }],
  ['follow it over a WebSocket and write to it', async (c) => {
    const seen = { stdout: '', stderr: '' }
    const followed = c.box.process.getSessionCommandLogs('s', c.cmd, (t) => (seen.stdout += t), (t) => (seen.stderr += t))
    await c.box.process.sendSessionCommandInput('s', c.cmd, 'a line')
    await followed
    return seen
  }],
  ['its exit code', async (c) => {
    await c.until(async () => (await c.box.process.getSessionCommand('s', c.cmd)).exitCode !== undefined)
    return (await c.box.process.getSessionCommand('s', c.cmd)).exitCode
  }],
  ['its whole log', async (c) => { // the order of the two streams is not kept
    const log = await c.box.process.getSessionCommandLogs('s', c.cmd)
    return { ...log, output: log.output.split('\n').sort() }
  }],
  ['follow it once more, from the beginning', async (c) => {
    const seen = { stdout: '', stderr: '' }
    await c.box.process.getSessionCommandLogs('s', c.cmd, (t) => (seen.stdout += t), (t) => (seen.stderr += t))
    return seen
  }],
  ['write to a command that has ended', (c) => c.box.process.sendSessionCommandInput('s', c.cmd, 'late')],
  ['a command that is not there', (c) => c.box.process.getSessionCommand('s', 'nothing')],
  ['the log of a command that is not there', (c) => c.box.process.getSessionCommandLogs('s', 'nothing')],
  ['bytes that are no UTF-8', async (c) => outcome(await exec(c, String.raw`printf 'a\377\0b\n'`))],
  ['a long command', async (c) => {
    const text = 'x'.repeat(1 << 20)
    return (await exec(c, `printf %s '${text}' | wc -c`)).stdout.trim()
  }],

  ['delete a session', (c) => c.box.process.deleteSession('s')],
  ['the deleted session', (c) => c.box.process.getSession('s')],
  ['delete it again', (c) => c.box.process.deleteSession('s')],
  ['end the shell of a session', async (c) => {
    await c.box.process.createSession('ending')
    return { exitCode: (await exec(c, 'exit 4', 'ending')).exitCode }
  }],
  ['run in a session whose shell has ended', (c) => exec(c, 'true', 'ending')],
]
