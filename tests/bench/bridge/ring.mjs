/** Some agents of a ring, in one process; `ring.py` is the same in Python, and says what is what. */

import { createInterface } from "node:readline";

import { Agent } from "../../../sdk/js/src/index.js";

const [language, first, size, total, folder, token] = process.argv.slice(2);
const quiet = { warn() {}, error() {} };
const say = (told) => console.log(JSON.stringify(told));
const sleep = (ms) => new Promise((done) => setTimeout(done, Math.max(ms, 0)));

class Member {
  seen = new Set();
  doubled = 0;
  disordered = 0;
  #next = 0;

  constructor(number) {
    const before = (number - 1 + Number(total)) % Number(total);
    const id = `${language}${number}`;
    this.agent = new Agent({
      id,
      topics: [`ring.${language}${before}`],
      onEvent: (ctx, topic, event) => this.#take(event.data),
      address: `ws+unix://${folder}/${id}.sock`,
      token,
      mailbox: 4096,
      log: quiet,
    });
  }

  async publish(count, pace) {
    const began = performance.now();
    for (let number = 0; number < count; number += 1) {
      await this.agent.ctx.emit(`ring.${this.agent.id}`, number);
      await sleep(began + (number + 1) * pace * 1000 - performance.now());
    }
  }

  #take(number) {
    if (this.seen.has(number)) this.doubled += 1;
    else if (number !== this.#next) this.disordered += 1;
    this.seen.add(number);
    this.#next = number + 1;
  }
}

const members = Array.from({ length: Number(size) }, (_, number) => new Member(Number(first) + number));
for (const member of members) await member.agent.start();
say({ ready: true });
const sum = (of) => members.reduce((all, member) => all + of(member), 0);
for await (const line of createInterface({ input: process.stdin })) {
  const { count, pace } = JSON.parse(line);
  if (count) await Promise.all(members.map((member) => member.publish(count, pace)));
  say({
    arrived: sum((one) => one.seen.size),
    doubled: sum((one) => one.doubled),
    disordered: sum((one) => one.disordered),
  });
}
process.exit(0);
