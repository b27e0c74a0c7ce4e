/* Protobuf as it stands on the wire: a message is fields one after the other, each a number, a type and a value. Groups
 * are malformed here. Reading borrows, and never looks outside of the bytes. Source: protobuf.dev, "Encoding". */
#ifndef PROTO_PROTOBUF_WIRE_H
#define PROTO_PROTOBUF_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t integer; /* PB_VARINT, PB_FIXED64, PB_FIXED32 */
    struct str bytes; /* PB_BYTES: text, bytes, a message, packed numbers */
};

/* The next field, which `rest` then stands behind: 1; 0: there is none; -1: malformed. */
int pb_next(struct str *rest, struct pb_field *f);
bool pb_read_varint(struct str *rest, uint64_t *v); /* false: cut short, or longer than 64 bits */

void pb_put_varint(struct buf *out, uint64_t v);
void pb_put_int(struct buf *out, unsigned number, uint64_t v);
void pb_put_bytes(struct buf *out, unsigned number, struct str s);

#endif
