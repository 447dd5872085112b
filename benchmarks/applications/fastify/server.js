// Fastify with undici, as their documentations advise: a schema for the answer, one pool of connections for each origin.
//
//     node server.js PORT UPSTREAM
import Fastify from 'fastify'
import { Pool } from 'undici'

const [port, upstream] = process.argv.slice(2)
const pool = new Pool(`http://${upstream}`, { connections: 128, pipelining: 1 })

async function get (path) {
  const { statusCode, body } = await pool.request({ path, method: 'GET' })
  if (statusCode !== 200) {
    await body.dump()
    throw Object.assign(new Error(`${path} answered ${statusCode}`), { statusCode: 502 })
  }
  return body.json()
}

const app = Fastify({ logger: false })

app.get('/api/v1/order-details/:id', async (request) => {
  const { id } = request.params
  const order = await get(`/orders/${encodeURIComponent(id)}`)
  const [user, shipment, ...products] = await Promise.all([
    get(`/users/${encodeURIComponent(order.userId)}`),
    get(`/shipments/${encodeURIComponent(id)}`),
    ...order.productIds.map((product) => get(`/products/${encodeURIComponent(product)}`))
  ])
  return { order, user, products, shipment }
})

await app.listen({ port: Number(port), host: '127.0.0.1' })
