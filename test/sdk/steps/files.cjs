'use strict'

const { createHash, randomBytes } = require('node:crypto')

const sha = (b) => createHash('sha256').update(b).digest('hex')
const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i)) // every byte there is
const big = randomBytes(5 << 20)
const names = (found) => found.map((f) => f.name).sort()

module.exports = [
  ['make a folder', (c) => c.box.fs.createFolder('papers/old', '0700')],
  ['make it again', (c) => c.box.fs.createFolder('papers/old', '0700')],
  ['upload', (c) => c.box.fs.uploadFile(every, 'papers/every')],
  ['upload into folders that are not there', (c) => c.box.fs.uploadFile(Buffer.from('deep\n'), 'papers/a/b/deep.txt')],
  ['upload several, one of them empty', (c) => c.box.fs.uploadFiles([
    { source: Buffer.alloc(0), destination: 'papers/empty' },
    { source: Buffer.from('é\n'), destination: 'papers/été & co' },
  ])],
  ['upload a large one', (c) => c.box.fs.uploadFile(big, 'papers/big')],
  ['download', async (c) => Buffer.compare(await c.box.fs.downloadFile('papers/every'), every)],
  ['download an empty one', async (c) => (await c.box.fs.downloadFile('papers/empty')).length],
  ['download a large one', async (c) => sha(await c.box.fs.downloadFile('papers/big')) === sha(big)],
  ['what a command sees', async (c) => (await c.box.process.executeCommand('cat "papers/été & co" papers/a/b/deep.txt')).result],
  ['download several, one of them missing', async (c) => {
    const all = await c.box.fs.downloadFiles([{ source: 'papers/a/b/deep.txt' }, { source: 'papers/none' }])
    return all.map((f) => ({ source: f.source, text: f.result?.toString() ?? null, failed: Boolean(f.error) }))
  }],
  ['download one that is missing', (c) => c.box.fs.downloadFile('papers/none')],
  ['download a folder', (c) => c.box.fs.downloadFile('papers/old')],
  ['list', async (c) => names(await c.box.fs.listFiles('papers'))],
  ['what a list says of a file', async (c) => {
    const f = (await c.box.fs.listFiles('papers')).find((f) => f.name === 'every')
    return { dated: !Number.isNaN(Date.parse(f.modifiedAt ?? f.modTime)), ...c.pick(f, 'name', 'size', 'mode', 'isDir', 'permissions') }
  }],
  ['list two levels', async (c) => c.older || (await c.box.fs.listFiles('papers/a', { depth: 2 })).map((f) => f.path.split('papers/')[1])],
  ['list a folder that is not there', (c) => c.box.fs.listFiles('papers/none')],
  ['list a file', (c) => c.box.fs.listFiles('papers/every')],
  ['a folder in detail', async (c) => c.pick(await c.box.fs.getFileDetails('papers/old'), 'name', 'mode', 'isDir', 'permissions')],
  ['one that is missing in detail', (c) => c.box.fs.getFileDetails('papers/none')],
  ['move', async (c) => {
    await c.box.fs.moveFiles('papers/empty', 'papers/old/empty')
    return names(await c.box.fs.listFiles('papers/old'))
  }],
  ['move one that is missing', (c) => c.box.fs.moveFiles('papers/none', 'papers/other')],
  ['delete a file', (c) => c.box.fs.deleteFile('papers/every')],
  ['delete it again', (c) => c.box.fs.deleteFile('papers/every')],
  ['delete a folder as if it were a file', (c) => c.box.fs.deleteFile('papers/old')],
  ['delete a folder', async (c) => {
    await c.box.fs.deleteFile('papers/old', true)
    return names(await c.box.fs.listFiles('papers'))
  }],
  ['a call that is not offered', (c) => c.box.fs.setFilePermissions('papers/big', { mode: '0600' })],
]
