#include "agent/network/tables.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/mem.h"

static int set_membership(struct tables *t, int option)
{
    int group = NFNLGRP_NFTABLES;
    return setsockopt(t->watch.fd, SOL_NETLINK, option, &group, sizeof group) == 0 ? 0 : -errno;
}

int tables_open(struct tables *t, struct error *err)
{
    t->count = 0;
    t->paused = false;
    int rc = netlink_open(&t->watch, NETLINK_NETFILTER);
    rc = rc != 0 ? rc : set_membership(t, NETLINK_ADD_MEMBERSHIP);
    if (rc != 0) {
        netlink_close(&t->watch);
        return error_set_errno(err, -rc, "cannot watch the kernel's packet filter");
    }
    netlink_make_watch(&t->watch);
    return 0;
}

void tables_close(struct tables *t)
{
    netlink_close(&t->watch);
}

void tables_add(struct tables *t, const char *name, bool grows)
{
    assert(t->count < TABLES_MAX);
    t->list[t->count++] = (struct tables_watched){.name = name, .grows = grows};
}

static void hear_of(struct tables_watched *w, unsigned type)
{
    switch (type) {
    case NFT_MSG_NEWTABLE:
        w->anew = true;
        return;
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELSET:
        w->less = true;
        w->anew = false;
        return;
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELSETELEM:
        w->less = w->less || !w->grows;
        return;
    default:
        return;
    }
}

void tables_want(struct tables *t, const char *name, bool wanted)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) == 0) {
            t->list[i].unwanted = !wanted;
        }
    }
}

/* The new generation is the last message of a transaction. Before it nothing is made of the others: what is still to
 * come would look like another one. */
void tables_hear(struct tables *t, const struct nlmsghdr *h)
{
    unsigned type = h->nlmsg_type & 0xff;
    /* The table's name is attribute 1 of all messages about anything in one. */
    const struct nlattr *name = netlink_find_behind(h, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);
    if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES) {
        return;
    }
    for (unsigned i = 0; i < t->count; i++) {
        struct tables_watched *w = &t->list[i];
        size_t size = strlen(w->name) + 1;
        if (type == NFT_MSG_NEWGEN) {
            w->broken = !w->anew && !w->unwanted && (w->broken || w->less);
            w->anew = w->less = false;
        } else if (name != NULL && name->nla_len == NLA_HDRLEN + size &&
                   memcmp((const uint8_t *)name + NLA_HDRLEN, w->name, size) == 0) {
            hear_of(w, type);
        }
    }
}

bool tables_touched(struct tables *t)
{
    bool any = false, lost = false;
    for (;;) {
        ssize_t got = recv(t->watch.fd, t->watch.reply, NETLINK_REPLY_BYTES, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == ENOBUFS) { /* more than we could take: it has to be looked at */
            lost = true;
            continue;
        }
        if (got < 0) {
            break;
        }
        size_t left = (size_t)got;
        for (const struct nlmsghdr *h = (const void *)t->watch.reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            tables_hear(t, h);
        }
    }
    for (unsigned i = 0; i < t->count; i++) {
        any = any || t->list[i].broken;
        t->list[i].broken = false;
    }
    return any || lost;
}

void tables_pause(struct tables *t, bool pause)
{
    if (pause != t->paused) {
        t->paused = pause;
        set_membership(t, pause ? NETLINK_DROP_MEMBERSHIP : NETLINK_ADD_MEMBERSHIP);
    }
}
