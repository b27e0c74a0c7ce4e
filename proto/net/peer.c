/* What is known of a connection's peer. */
#include "proto/net/net_int.h"

static const struct pki_identity nobody;

const struct pki_identity *net_conn_peer(const struct net_conn *c)
{
    return c->peer != NULL ? &c->peer->who : &nobody;
}

bool net_conn_peer_life(const struct net_conn *c, int64_t *not_before_s, int64_t *not_after_s)
{
    const struct pki_facts *facts = net_conn_peer_facts(c);
    *not_before_s = facts->from_s;
    *not_after_s = facts->until_s;
    return c->peer != NULL;
}

const char *net_conn_peer_groups(const struct net_conn *c)
{
    return c->peer != NULL ? c->peer->groups : "";
}

const struct pki_facts *net_conn_peer_facts(const struct net_conn *c)
{
    static const struct pki_facts none;
    return c->peer != NULL ? &c->peer->facts : &none;
}

bool net_conn_peer_expired(const struct net_conn *c)
{
    return c->peer_expired;
}

const char *net_conn_alpn(const struct net_conn *c)
{
    return c->alpn;
}

const char *net_conn_peer_addr(const struct net_conn *c)
{
    return c->addr;
}

bool net_conn_refused(const struct net_conn *c)
{
    return c->refused;
}

bool net_conn_accepted(const struct net_conn *c)
{
    return c->accepted;
}
