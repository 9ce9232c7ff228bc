// The tools of the kit as a plugin for Node; `loom-plugin.mjs` is that of the template.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { Plugin } from './loom-plugin.mjs'

const plugin = new Plugin({ types: ['tool'] })

const runs = {
  'kit:echo': ({ value }) => value,
  'kit:add': ({ a, b }) => a + b,
  'kit:fail': ({ message }) => { throw new Error(message) },
  'kit:sleep': async ({ seconds, value }, { signal }) => sleep(seconds * 1000, value, { signal }),
  'kit:big': ({ size }) => 'x'.repeat(size),
  'kit:steps': async ({ count, pause = 0 }, { signal, progress }) => {
    for (let step = 1; step <= count; step++) {
      await sleep(pause * 1000, undefined, { signal })
      progress(step, count, `step ${step}`)
    }
    return count
  },
  'kit:crash': () => process.exit(13)
}

for (const { name, ...about } of JSON.parse(readFileSync('tools.json', 'utf8'))) {
  plugin.tool(name, { ...about, reports: name === 'kit:steps' }, runs[name])
}
plugin.run()
