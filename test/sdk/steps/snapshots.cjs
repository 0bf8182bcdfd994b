'use strict'

const fs = require('node:fs')

const made = (c, s) => c.pick(s, 'name', 'imageName', 'state', 'general', 'errorReason')

module.exports = [
  ['list snapshots', async (c) => {
    const page = await c.daytona.snapshot.list()
    c.general = page.items[0]
    return { ...c.pick(page, 'total', 'page', 'totalPages'), item: { ...made(c, c.general), source: c.general.sourceSandboxId, size: c.general.size } }
  }],
  ['get a snapshot by name', async (c) => ({ same: (await c.daytona.snapshot.get(c.general.name)).id === c.general.id })],
  ['get a snapshot that is not there', (c) => c.daytona.snapshot.get('nowhere')],
  ['create a snapshot', async (c) => made(c, c.mine = await c.daytona.snapshot.create({ name: 'mine', image: c.image }))],
  ['create a snapshot from a Dockerfile', async (c) => {
    const said = []
    const onLogs = (text) => {
      said.push(text)
      if (text.includes('step 1/')) fs.writeFileSync(process.env.RELEASE, '') // it is not built before its log was read
    }
    const s = await c.daytona.snapshot.create({ name: 'built', image: c.sdk.Image.base(c.image) }, { onLogs })
    return {
      state: s.state, dockerfile: s.buildInfo.dockerfileContent.trim(),
      log: said.filter((text) => !text.includes('snapshot built')).join('\n').split('\n'),
      told: said.filter((text) => text.includes('snapshot built')),
    }
  }],
  ['create a snapshot that is there', (c) => c.daytona.snapshot.create({ name: 'mine', image: c.image })],
  ['create a snapshot of the latest image', (c) => c.daytona.snapshot.create({ name: 'other', image: 'debian:latest' })],
  ['create a snapshot of an image without a tag', (c) => c.daytona.snapshot.create({ name: 'other', image: 'registry:5000/debian' })],
  ['create a snapshot of an image that cannot be had', (c) => c.daytona.snapshot.create({ name: 'other', image: 'debian:13' })],
  ['a page of snapshots', async (c) => {
    const page = await c.daytona.snapshot.list(2, 3)
    return { ...c.pick(page, 'total', 'page', 'totalPages'), names: page.items.map((s) => s.name === c.general.name) }
  }],
  ['a sandbox from a snapshot', async (c) => {
    const box = await c.daytona.create({ snapshot: 'mine' })
    await box.delete()
    await c.until(() => c.missing(box.id))
    return c.pick(box, 'snapshot')
  }],
  ['a sandbox from a snapshot that failed', (c) => c.daytona.create({ snapshot: 'other' })],
  ['activate an active snapshot', (c) => c.daytona.snapshot.activate(c.mine)],
  ['delete a snapshot', (c) => c.daytona.snapshot.delete(c.mine)],
  ['the deleted snapshot', (c) => c.daytona.snapshot.get('mine')],
  ['delete the general snapshot', (c) => c.daytona.snapshot.delete(c.general)],
]
