/* Answers in gzip (RFC 1952) for who accepts it: level 1, since a higher one costs more than the bytes that it saves,
 * and large ones alone. */
#ifndef MASTER_REST_GZIP_H
#define MASTER_REST_GZIP_H

#include <stdbool.h>

#include "base/buf.h"

#define REST_GZIP_MIN   (128u << 10) /* as Kubernetes: bytes of an answer that is worth it */
#define REST_GZIP_BYTES (264u << 10) /* that one takes while it goes on */

/* Does an Accept-Encoding header take it? */
bool rest_gzip_accepted(struct str accept_encoding);

struct rest_gzip;
struct rest_gzip *rest_gzip_new(void);
void rest_gzip_free(struct rest_gzip *z); /* NULL is fine */
/* More of the answer; what comes of it goes onto out, perhaps nothing yet. last: all of it. */
void rest_gzip_add(struct rest_gzip *z, struct buf *out, struct str bytes, bool last);

#endif
