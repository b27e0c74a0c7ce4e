/* healthCheckNodePort: what a balancer in front of the nodes asks each of them, whether it has pods of a Service with
 * externalTrafficPolicy Local. Loop thread only.
 *
 * Every port is a listener at the node's address. Any request is answered as kube-proxy answers it: 200 if a pod here
 * is ready and the dataplane works, otherwise 503, with the count in the body (JSON) and in the header
 * X-Load-Balancing-Endpoint-Weight; then the connection ends. Whoever is slow or too many is cut: a connection has
 * HEALTH_ANSWER_MS and HEALTH_REQUEST_MAX bytes, and of HEALTH_CONNECTIONS_MAX the oldest gives way to a new one.
 * A port that cannot be had is told in the log and tried again each HEALTH_RETRY_MS. */
#ifndef AGENT_SERVICE_HEALTH_H
#define AGENT_SERVICE_HEALTH_H

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "base/str.h"

#include <uv.h>

#define HEALTH_SERVICES_MAX    1024u /* further ones are told in the log and have no port */
#define HEALTH_CONNECTIONS_MAX 64u
#define HEALTH_REQUEST_MAX     4096u
#define HEALTH_ANSWER_MS       5000
#define HEALTH_RETRY_MS        10000

struct health_config {
    uv_loop_t *loop;
    const struct log *log;     /* borrowed */
    uint32_t ip;               /* where to listen, in the machine's byte order; 0: nowhere yet */
    bool (*works)(void *data); /* the dataplane follows what it is told; asked for each answer */
    void *data;
    unsigned retry_ms; /* 0 = HEALTH_RETRY_MS */
};
struct health;
struct health *health_new(const struct health_config *config);
void health_set_ip(struct health *h, uint32_t ip); /* all listen there from now on */
/* name: "NAMESPACE/NAME". here: pods on this node that are ready. port 0: it has none, or none any more. */
void health_set(struct health *h, const char *name, uint16_t port, unsigned here);
/* cb from the loop, then it is freed. */
void health_close(struct health *h, void (*cb)(void *data), void *data);

/* Pure: the answer as it goes out, appended. */
void health_answer(struct buf *out, struct str name, unsigned here, bool works);

#endif
