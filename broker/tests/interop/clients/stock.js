// KafkaJS; see README.md for the commands.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const zstd = require('@bokuweb/zstd-wasm')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
})

const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }
const [command, boot, topic, ...rest] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'stock', brokers: boot.split(','), logLevel: logLevel.ERROR })

async function produce(codec, from, count) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, i) => ({ key: `k${from + i}`, value: `${from + i}` }))
  await producer.send({ topic, messages, acks: -1, compression: CompressionTypes[CODECS[codec]] })
  await producer.disconnect()
  console.log('produced', count)
}

async function group(name, count, members) {
  const values = []
  const perMember = Array(members).fill(0)
  const assigned = Array(members).fill(false)
  let lastAt = Date.now()
  const consumers = []
  for (let n = 0; n < members; n++) {
    const consumer = kafka.consumer({ groupId: name, maxWaitTimeInMs: 100, rebalanceTimeout: 10000 })
    consumer.on(consumer.events.GROUP_JOIN, (e) => {
      assigned[n] = Object.values(e.payload.memberAssignment).some((p) => p.length > 0)
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(Number(message.value.toString()))
        perMember[n]++
        lastAt = Date.now()
      },
    })
    consumers.push(consumer)
  }
  const deadline = Date.now() + 60000
  const complete = () => values.length >= count && assigned.every(Boolean) && Date.now() - lastAt > 1000
  while (!complete() && Date.now() < deadline) await new Promise((r) => setTimeout(r, 50))
  for (const c of consumers) await c.disconnect()
  perMember.forEach((records, n) => console.log('member', n, records))
  console.log('values', ...values.sort((a, b) => a - b))
}

// A batch is committed when it is through; after a commit that failed a member joins anew, reads it
// once more and commits it then.
async function allCommitted(name) {
  const admin = kafka.admin()
  await admin.connect()
  const isDone = async () => {
    const ends = await admin.fetchTopicOffsets(topic)
    const [{ partitions }] = await admin.fetchOffsets({ groupId: name, topics: [topic] })
    const committed = new Map(partitions.map((p) => [p.partition, p.offset]))
    return ends.every((end) => committed.get(end.partition) === end.offset)
  }
  const deadline = Date.now() + 60000
  while (Date.now() < deadline && !(await isDone().catch(() => false))) await new Promise((r) => setTimeout(r, 100))
  await admin.disconnect()
}

// Produces and consumes until standard input ends, and until what was acknowledged has been read.
async function through(name, members) {
  const acked = new Set(), seen = new Set(), failed = []
  let stopped = false
  process.stdin.on('data', () => {}).on('end', () => { stopped = true })
  const pause = (ms) => new Promise((r) => setTimeout(r, ms))
  const producer = kafka.producer({ retry: { retries: 60, maxRetryTime: 2000 } })
  await producer.connect()
  const produceAll = (async () => {
    for (let n = 0; !stopped; n++) {
      try {
        await producer.send({ topic, messages: [{ key: `k${n}`, value: `${n}` }], acks: -1 })
        acked.add(n)
      } catch (e) {
        failed.push(`${n}:${e.name}`)
      }
      await pause(20)
    }
  })()
  const consumers = []
  for (let n = 0; n < members; n++) {
    const consumer = kafka.consumer({ groupId: name, maxWaitTimeInMs: 100, rebalanceTimeout: 10000,
      retry: { retries: 60, maxRetryTime: 2000, restartOnFailure: async () => true } })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => { seen.add(Number(message.value.toString())) } })
    consumers.push(consumer)
  }
  let produced = false
  produceAll.then(() => { produced = true })
  while (!produced || ![...acked].every((n) => seen.has(n))) {
    console.log('at', acked.size, seen.size)
    await pause(100)
  }
  await allCommitted(name)
  for (const c of consumers) await c.disconnect()
  await producer.disconnect()
  console.log('failed', ...failed)
  console.log('acked', ...acked)
  console.log('seen', ...seen)
}

const run = zstd.init().then(() => {
  if (command === 'produce') return produce(rest[0], +rest[1], +rest[2])
  if (command === 'through') return through(rest[0], +rest[1])
  return group(rest[0], +rest[1], +rest[2])
})
run.then(() => process.exit(0), (e) => { console.error(e); process.exit(1) })
