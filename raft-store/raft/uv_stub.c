#include "raft-store/raft/uv_stub.h"

static int stub_init(struct raft_uv_transport *t, raft_id id, const char *address)
{
    (void)t;
    (void)id;
    (void)address;
    return 0;
}

static int stub_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb)
{
    (void)t;
    (void)cb;
    return 0;
}

static int stub_connect(struct raft_uv_transport *t, struct raft_uv_connect *req, raft_id id, const char *address,
                        raft_uv_connect_cb cb)
{
    (void)t;
    (void)req;
    (void)id;
    (void)address;
    (void)cb;
    return RAFT_NOCONNECTION;
}

static void stub_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb)
{
    cb(t);
}

struct raft_uv_transport uv_stub_transport(void)
{
    return (struct raft_uv_transport){
        .version = 1, .init = stub_init, .listen = stub_listen, .connect = stub_connect, .close = stub_close};
}
