/**
 * A WebSocket, as far as a session needs one.
 *
 * @typedef {object} Socket
 * @property {(done: () => void) => void} onOpen
 * @property {(done: (text: string) => void) => void} onText
 * @property {(done: (reason: string, status: number) => void) => void} onClose also when it could not be
 *   opened; `status` is that of an HTTP answer, 0 = none is known
 * @property {(text: string) => Promise<void>} send done when the next should be sent; never fails
 * @property {() => void} close
 * @property {() => void} abort
 */

export {};
