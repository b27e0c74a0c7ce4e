#include "proto/facts/claim.h"

void claim_address(struct buf *out, struct str ip)
{
    buf_reset(out);
    buf_puts(out, "address/");
    buf_append_str(out, ip);
}

void claim_port(struct buf *out, struct str protocol, int64_t number)
{
    buf_reset(out);
    buf_printf(out, "port/%.*s/%lld", STR_ARG(protocol.n > 0 ? protocol : STR("TCP")), (long long)number);
}
