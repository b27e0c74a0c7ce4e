/* What a Service claims for itself: its address and ports of the nodes. No other Service may have the same at the same
 * time, so each claim is a key of an index (kind_claims in proto/schema/kind.h, VIEW_BY_CLAIM). Pure. */
#ifndef PROTO_FACTS_CLAIM_H
#define PROTO_FACTS_CLAIM_H

#include <stdint.h>

#include "base/buf.h"

/* Keys, written anew. */
void claim_address(struct buf *out, struct str ip);                    /* "address/10.96.0.1" */
void claim_port(struct buf *out, struct str protocol, int64_t number); /* "port/TCP/30080" */

#endif
