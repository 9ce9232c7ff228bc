// Loom's plugin protocol (proto/loom/plugin/v1/plugin.proto) for Node: the handshake, the token,
// and the service. A plugin declares tools and what it does about events, then runs.
import { timingSafeEqual } from 'node:crypto'
import { chmodSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import grpc from '@grpc/grpc-js'
import loader from '@grpc/proto-loader'

const PROTOCOL = 1
const PROTOS = join(dirname(fileURLToPath(import.meta.url)), 'proto')
const TYPES = ['feature-extractor', 'model-backend', 'tool', 'actuator']
const UNLIMITED = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 }

const json = (value) => Buffer.from(JSON.stringify(value ?? null))
const parsed = (bytes, empty) => (bytes?.length ? JSON.parse(bytes) : empty)

/** What a tool throws to end with a code of its own, such as `INVALID_PARAMS`. */
export class ToolError extends Error {
  constructor (code, message, details = {}) {
    super(message)
    this.code = code
    this.details = details
  }
}

export class Plugin {
  /** *types*: feature-extractor, model-backend, tool, actuator. */
  constructor ({ types = ['tool'], version = '0.1.0' } = {}) {
    this.types = types
    this.version = version
    /** What `[process.<name>.settings]` holds, once it was started. */
    this.settings = {}
    this.permissions = []
    this._tools = new Map()
    this._handlers = []
    this._running = new Map()
  }

  /**
   * Declare tool *name*. *run* gets the arguments and the call: `{ id, caller, signal, progress }`.
   * *about*: description, parameters (JSON Schema), and reports, timeout, permissions, labels,
   * hints, concurrency, version where they are not as usual.
   */
  tool (name, about, run) {
    const { parameters = { type: 'object' }, reports = false, result, ...more } = about
    const described = { version: '1.0', ...more, name, provider: 'process', parameters: json(parameters) }
    if (result) described.result = json(result)
    this._tools.set(`${name} ${described.version}`, { described, run, reports })
  }

  /** Call *handle* with each event of *pattern*; it returns `{ topic, data }`, several, or nothing. */
  on (pattern, handle) {
    this._handlers.push({ pattern, handle })
  }

  /** Introduce itself to the Loom that started this process, and serve it to the end. */
  run () {
    const { LOOM_PLUGIN_TOKEN_FD: descriptor, LOOM_PLUGIN_DIR: folder } = process.env
    if (!descriptor || !folder) {
      console.error('This is a plugin of Loom, which starts it itself: name it in [process.<name>].')
      process.exit(2)
    }
    this._expected = Buffer.from(`Bearer ${readFileSync(Number(descriptor), 'ascii')}`)
    process.stdin.on('end', () => process.exit(0)).resume() // it ends with Loom, however that ends
    const address = join(folder, 'plugin.sock')
    const server = new grpc.Server(UNLIMITED)
    server.addService(this._service(), this._methods(server))
    server.bindAsync(`unix:${address}`, grpc.ServerCredentials.createInsecure(), (error) => {
      if (error) throw error
      chmodSync(address, 0o600)
      process.stdout.write(`LOOM|1|${PROTOCOL}|unix|${address}|grpc\n`)
    })
  }

  _service () {
    const options = { includeDirs: [PROTOS], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true }
    const found = loader.loadSync('loom/plugin/v1/plugin.proto', options)
    return grpc.loadPackageDefinition(found).loom.plugin.v1.PluginService.service
  }

  _methods (server) {
    const unary = (work) => (call, done) => {
      if (!this._isAdmitted(call)) return done({ code: grpc.status.UNAUTHENTICATED, details: 'not the token of this process' })
      Promise.resolve(work(call.request, call)).then(
        (answer) => done(null, answer),
        (error) => done({ code: grpc.status.INTERNAL, details: String(error) })
      )
    }
    return {
      Init: unary((request) => this._init(request)),
      Health: unary(() => ({ healthy: true, running: [...this._running.keys()] })),
      HandleEvent: unary(({ event }) => this._counted(event.id, () => this._handle(event))),
      Call: unary(async ({ call: asked }, call) => ({ result: await this._call(asked, call) })),
      CallStream: async (call) => {
        if (!this._isAdmitted(call)) return call.emit('error', { code: grpc.status.UNAUTHENTICATED })
        const tell = (done, total = 0, message = '') => call.write({ progress: { done, total, message } })
        call.write({ result: await this._call(call.request.call, call, tell) })
        call.end()
      },
      Shutdown: unary(({ grace, force }) => {
        const end = () => process.exit(0)
        server.tryShutdown(end)
        setTimeout(end, force ? 0 : grace * 1000)
        return {}
      })
    }
  }

  _isAdmitted (call) {
    const said = Buffer.from(String(call.metadata.get('authorization')[0] ?? ''))
    return said.length === this._expected.length && timingSafeEqual(said, this._expected)
  }

  async _init (request) {
    this.settings = parsed(request.settings, {})
    this.permissions = request.permissions
    const tools = [...this._tools.values()]
    return {
      version: this.version,
      types: this.types.map((type) => TYPES.indexOf(type) + 1),
      patterns: this._handlers.map(({ pattern }) => pattern),
      tools: tools.map(({ described }) => described),
      reporting: tools.filter(({ reports }) => reports).map(({ described }) => described.name)
    }
  }

  async _call (asked, call, progress = () => {}) {
    const aborter = new AbortController()
    call.on('cancelled', () => aborter.abort())
    const tool = this._tools.get(`${asked.name} ${asked.version}`)
    try {
      if (!tool) throw new ToolError('CAPABILITY_ERROR', `there is no ${asked.name} ${asked.version}`)
      const context = { id: asked.id, caller: asked.caller, signal: aborter.signal, progress }
      const output = await this._counted(asked.id, () => tool.run(parsed(asked.arguments, {}), context))
      return { id: asked.id, code: 'ERROR_CODE_ACTION_OK', output: json(output) }
    } catch (error) {
      const code = error instanceof ToolError ? error.code : 'ACTION_ERROR'
      const message = error instanceof ToolError ? error.message : String(error)
      return { id: asked.id, code: `ERROR_CODE_${code}`, error: { message, details: json(error.details ?? {}) } }
    }
  }

  async _handle (event) {
    const data = event.binary ? event.payload : parsed(event.payload, null)
    const events = []
    for (const { pattern, handle } of this._handlers) {
      if (matches(pattern, event.topic)) events.push(...[(await handle({ ...event, data })) ?? []].flat())
    }
    return { events: events.map(({ data, ...rest }) => ({ ...rest, payload: json(data) })) }
  }

  async _counted (id, work) {
    this._running.set(id, (this._running.get(id) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const left = this._running.get(id) - 1
      if (left) this._running.set(id, left)
      else this._running.delete(id)
    }
  }
}

/** Whether *topic* is covered by *pattern*: `*` is one token, `>` one or more at the end. */
export function matches (pattern, topic) {
  const wanted = pattern.split('.')
  const tokens = topic.split('.')
  const rest = wanted.indexOf('>')
  if (rest >= 0) return tokens.length > rest && wanted.slice(0, rest).every(fits)
  return wanted.length === tokens.length && wanted.every(fits)
  function fits (token, place) {
    return token === '*' || token === tokens[place]
  }
}
