/* The transport that raft_uv insists on and that nobody uses: messages go over our own (transport.h), and a seeding
 * writes to the disk only. It listens to nobody and connects to nobody. Internal to raft-store. */
#ifndef RAFT_STORE_RAFT_UV_STUB_H
#define RAFT_STORE_RAFT_UV_STUB_H

#include <raft/uv.h>

struct raft_uv_transport uv_stub_transport(void);

#endif
