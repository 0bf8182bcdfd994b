'use strict'

module.exports = [
  ['stop', async (c) => {
    await c.box.process.createSession('lost')
    await c.box.fs.uploadFile(Buffer.from('kept\n'), 'kept')
    await c.box.stop()
    return c.box.state
  }],
  ['stop a stopped one', (c) => c.box.stop()],
  ['use a stopped one', (c) => c.box.process.executeCommand('true')],
  ['start', async (c) => {
    await c.box.start()
    return c.box.state
  }],
  ['start a started one', async (c) => {
    await c.box.start()
    return c.box.state
  }],
  ['what is left after a stop', async (c) => ({
    file: (await c.box.fs.downloadFile('kept')).toString(), sessions: await c.box.process.listSessions(),
  })],
  ['stop an ephemeral one', async (c) => {
    const box = await c.daytona.create({ ephemeral: true })
    await box.stop()
    await c.until(() => c.missing(box.id))
    return { autoDeleteInterval: box.autoDeleteInterval, gone: true }
  }],
  ['delete', async (c) => {
    c.id = c.box.id
    await c.box.delete()
    return null
  }],
  ['its name is free at once', async (c) => {
    c.box = await c.daytona.create({ name: 'first' })
    return { other: c.box.id !== c.id, state: c.box.state }
  }],
  ['it is gone', async (c) => {
    await c.until(() => c.missing(c.id))
    return c.daytona.get(c.id)
  }],
  ['use one that is gone', async (c) => {
    const process = c.box.process
    await c.box.delete()
    await c.until(() => c.missing(c.box.id))
    return process.executeCommand('true')
  }],
]
