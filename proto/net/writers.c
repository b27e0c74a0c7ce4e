/* Who has much to send: how long all of them may in a turn of the loop, and in which order.
 *
 * Much of what is sent is encrypted and copied for milliseconds: a list of thousands of objects for each of many
 * readers. So who has much to send waits when others have sent for long enough. Masters do not: others wait for what
 * they ask. Nodes do not wait for all readers, nor readers for all nodes: each have a queue, and these take turns. */
#include "proto/net/net_int.h"

bool net_writer_has_much(const struct net_conn *c)
{
    return c->state == NET_OPEN && c->listener != NULL && c->listener->writes.share_ns > 0 &&
           net_conn_pending(c) > NET_WRITE_LITTLE && net_conn_peer(c)->role != PKI_ROLE_MASTER;
}

static bool had_enough(const struct net_listener *l)
{
    return l->writes.share_ns > 0 && l->writes.used_ns >= l->writes.share_ns;
}

bool net_writer_waits(struct net_conn *c)
{
    if (!net_writer_has_much(c)) {
        return false;
    }
    struct net_listener *l = c->listener;
    if (!had_enough(l) && list_empty(&l->writes.nodes) && list_empty(&l->writes.users)) {
        return false;
    }
    list_push_back(net_conn_peer(c)->role == PKI_ROLE_NODE ? &l->writes.nodes : &l->writes.users, &c->write_link);
    return true;
}

struct net_conn *net_writer_next(struct net_listener *l)
{
    bool users = list_empty(&l->writes.nodes) || (l->writes.users_next && !list_empty(&l->writes.users));
    struct list *queue = users ? &l->writes.users : &l->writes.nodes;
    if (had_enough(l) || list_empty(queue)) {
        return NULL;
    }
    struct net_conn *first = LIST_ENTRY(queue->next, struct net_conn, write_link);
    l->writes.users_next = !users;
    list_remove(&first->write_link);
    return first;
}
