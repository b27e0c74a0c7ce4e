/* HTTP, HTTPS, TCP and gRPC checks for probes and hooks: one connection, one request, one answer.
 *
 * HTTP/1.1 of our own: GET, `Connection: close`, success is any status from 200 to 399 (redirects are not followed).
 * HTTPS certificates are not verified, as the API says. What matters is the status line: the body is not read. gRPC:
 * grpc_health.h. Loop thread only; the callback comes exactly once and never inside the call. */
#ifndef AGENT_POD_PROBER_H
#define AGENT_POD_PROBER_H

#include "agent/pod/podspec.h"

typedef void prober_cb(bool ok, const char *message, void *data);

/* h: of kind HTTP, TCP or GRPC. host: the address to use if the handler names none. timeout_ms counts only while this
 * process runs (attend.h). */
void prober_run(uv_loop_t *loop, const struct podspec_handler *h, const char *host, int64_t timeout_ms, prober_cb *cb,
                void *data);

/* Pure: status code of a response that begins with these bytes; 0 = not there yet, -1 = this is no HTTP. */
int prober_parse_status(const char *p, size_t n);
/* Pure: the request text. */
void prober_write_request(struct buf *out, const struct podspec_handler *h, const char *host);

#endif
