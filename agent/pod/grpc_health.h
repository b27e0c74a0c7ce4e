/* One question to the gRPC health service (grpc.health.v1.Health/Check), as bytes in and out: HTTP/2 in clear, as far
 * as one call needs it. Pure.
 *
 * What headers say is not read: who serves says so in its message, and an error has none.
 * Source: RFC 9113, RFC 7541, gRPC over HTTP/2, GRPC Health Checking Protocol. */
#ifndef AGENT_POD_GRPC_HEALTH_H
#define AGENT_POD_GRPC_HEALTH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

#define GRPC_HEALTH_SERVICE_MAX 4096u /* of the name; longer ones are cut, and not known to anybody */

struct grpc_health {
    struct buf in, message;
    bool greeted; /* its settings have come */
};
enum grpc_health_result { GRPC_HEALTH_MORE, GRPC_HEALTH_SERVING, GRPC_HEALTH_BAD };

void grpc_health_init(struct grpc_health *g);
void grpc_health_close(struct grpc_health *g);
/* The whole request. authority: "host:port". */
void grpc_health_ask(struct buf *out, struct str authority, struct str service);
/* What has come; what is to be sent back is appended to out. BAD: why, in the kubelet's words where it has some.
 * Memory is bounded. */
enum grpc_health_result grpc_health_feed(struct grpc_health *g, const void *p, size_t n, struct buf *out,
                                         char why[160]);

#endif
