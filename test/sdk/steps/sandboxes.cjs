'use strict'

module.exports = [
  ['a wrong key', (c) => c.client({ apiKey: 'wrong' }).get('any')],
  ['create', async (c) => {
    c.box = await c.daytona.create({
      name: 'first', language: 'python', labels: { team: 'a b&c', kind: 'test' }, envVars: { GREETING: 'hello' },
      autoStopInterval: 7, autoArchiveInterval: 60, autoDeleteInterval: 90,
    })
    return c.pick(c.box, 'name', 'user', 'state', 'labels', 'env', 'public', 'autoStopInterval', 'autoArchiveInterval', 'autoDeleteInterval', 'cpu', 'gpu')
  }],
  ['create with defaults', async (c) => {
    c.plain = await c.daytona.create()
    return { named: c.plain.name === c.plain.id, ...c.pick(c.plain, 'state', 'labels', 'autoStopInterval', 'autoArchiveInterval', 'autoDeleteInterval') }
  }],
  ['create with a name that is taken', (c) => c.daytona.create({ name: 'first' })],
  ['create from an unknown snapshot', (c) => c.daytona.create({ snapshot: 'nowhere' })],
  ['create with an unknown volume', (c) => c.daytona.create({ volumes: [{ volumeId: 'attic', mountPath: '/attic' }] })],
  ['create in an unknown region', (c) => c.client({ target: 'moon' }).create()],
  ['get by name', async (c) => ({ same: (await c.daytona.get('first')).id === c.box.id })],
  ['get by id', async (c) => c.pick(await c.daytona.get(c.box.id), 'name', 'state', 'env')],
  ['get one that is not there', (c) => c.daytona.get('nobody')],
  ['list by labels', async (c) => (await c.listed({ team: 'a b&c', kind: 'test' })).map((b) => b.name)],
  ['list with one label that differs', async (c) => (await c.listed({ team: 'a b&c', kind: 'other' })).map((b) => b.name)],
  ['list all', async (c) => (await c.listed()).map((b) => b.id).sort().join() === [c.box.id, c.plain.id].sort().join()],
  ['set labels', async (c) => {
    const labels = await c.box.setLabels({ only: 'this' })
    await c.box.refreshData()
    return { answered: labels, kept: c.box.labels }
  }],
  ['set auto-stop', async (c) => {
    await c.box.setAutostopInterval(9)
    await c.box.refreshData()
    return c.box.autoStopInterval
  }],
  ['switch auto-stop off', async (c) => {
    await c.box.setAutostopInterval(0)
    await c.box.refreshData()
    return c.box.autoStopInterval
  }],
  ['set auto-archive to its maximum', async (c) => {
    await c.box.setAutoArchiveInterval(0)
    await c.box.refreshData()
    return c.box.autoArchiveInterval
  }],
  ['set auto-delete', async (c) => {
    await c.box.setAutoDeleteInterval(5)
    await c.box.refreshData()
    return c.box.autoDeleteInterval
  }],
  ['switch auto-delete off', async (c) => {
    await c.box.setAutoDeleteInterval(-1)
    await c.box.refreshData()
    return c.box.autoDeleteInterval
  }],
  ['say that it is used', (c) => c.box.refreshActivity()],
]
