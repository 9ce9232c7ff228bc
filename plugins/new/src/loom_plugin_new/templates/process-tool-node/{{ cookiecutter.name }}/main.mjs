// {{ cookiecutter.summary }}.
import { Plugin } from './loom-plugin.mjs'

const plugin = new Plugin({ types: ['tool'], version: '0.1.0' })

const text = {
  type: 'object',
  properties: { text: { type: 'string' } },
  required: ['text'],
  additionalProperties: false
}

plugin.tool(
  '{{ cookiecutter.name }}:count',
  { description: 'Count the words and the lines of a text.', parameters: text },
  ({ text }) => ({
    words: text.split(/\s+/).filter(Boolean).length,
    lines: text.split('\n').length
  })
)

plugin.tool(
  '{{ cookiecutter.name }}:spell',
  { description: 'Spell a text, and tell how far it has come.', parameters: text, reports: true },
  async ({ text }, call) => {
    const letters = [...text]
    for (const [place, letter] of letters.entries()) {
      call.progress(place + 1, letters.length, letter)
    }
    return letters
  }
)

plugin.run()
