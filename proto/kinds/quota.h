/* ResourceQuotas and LimitRanges: what their tables and their descriptions share. For proto/kinds alone. */
#ifndef PROTO_KINDS_QUOTA_H
#define PROTO_KINDS_QUOTA_H

#include "proto/kinds/kinds.h"

struct describe_list;
void quota_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void limits_describe(struct buf *out, const struct object *o, const struct describe_context *c);
/* In the description of a namespace: all that it has. */
void quota_describe_all(struct buf *out, const struct describe_list *quotas);
void limits_describe_all(struct buf *out, const struct describe_list *ranges);

#endif
