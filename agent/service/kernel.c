#include "agent/service/kernel.h"

#include "agent/network/netlink.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel does a transaction inside of send(2): when that returns, all of its errors wait to be read, and if there
 * are none, it has been done. */

#define REPLY_BYTES      (64u << 10)
#define SEND_BYTES       (8 << 20) /* of one transaction; a full one of elements has some 300 kB */
#define WATCH_BYTES      (4 << 20)
#define MESSAGE_ELEMENTS 400u /* an attribute has 64 kB at most */
/* NFT_TABLE_F_OWNER and NFT_TABLE_F_PERSIST: headers of Debian 12 do not have the second. */
#define OWNED (1u << 1 | 1u << 2)

struct service_kernel {
    const struct service_kernel_table *of;
    int fd, watch_fd;
    uint32_t port, watch_port; /* the sockets' addresses */
    bool paused;               /* nothing is told; since this generation, with so many transactions of our own */
    uint32_t generation, commits;
    enum service_touched touching; /* by the transaction that is being told */
    struct nft batch;
    uint8_t *reply;
};

static int open_socket(uint32_t groups, uint32_t *port)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = groups};
    socklen_t size = sizeof at;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    int bytes = groups == 0 ? SEND_BYTES : WATCH_BYTES;
    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        int e = errno;
        close(fd);
        errno = e;
        return -1;
    }
    *port = at.nl_pid;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    return fd;
}

/* 0 or the first error, as -errno. */
static int read_errors(struct service_kernel *k)
{
    int rc = 0;
    for (;;) {
        ssize_t got = recv(k->fd, k->reply, REPLY_BYTES, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return rc != 0 || errno == EAGAIN ? rc : -errno;
        }
        size_t left = (size_t)got;
        for (struct nlmsghdr *h = (void *)k->reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_ERROR && rc == 0) {
                rc = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            }
        }
    }
}

static int send_all(struct service_kernel *k, const struct nft *n)
{
    (void)read_errors(k); /* nothing of an earlier one is left */
    ssize_t sent;
    do {
        sent = send(k->fd, n->buf.data, n->buf.size, 0);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : read_errors(k);
}

static int commit(struct service_kernel *k, const char *what, struct error *err)
{
    nft_end(&k->batch);
    int rc = send_all(k, &k->batch);
    k->commits += rc == 0;
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot change the kernel's table of %s: %s", k->of->what, what);
}

static int try_unended(const struct nft *n, void *data)
{
    return send_all(data, n);
}

/* ---- Lists ---- */

typedef void each_message(const struct nlmsghdr *h, void *data);

/* All messages of an answer. ENOENT: what was asked for is not there. */
static int list(struct service_kernel *k, const struct nft *request, each_message *each, void *data)
{
    int rc = 0;
    bool changed = false;
    (void)read_errors(k);
    if (send(k->fd, request->buf.data, request->buf.size, 0) < 0) {
        return -errno;
    }
    for (bool more = true; more;) {
        ssize_t got = recv(k->fd, k->reply, REPLY_BYTES, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        size_t left = (size_t)got;
        for (struct nlmsghdr *h = (void *)k->reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            changed = changed || (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
                rc = h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
                more = false;
                break;
            }
            each(h, data);
        }
    }
    return rc != 0 ? rc : changed ? -EAGAIN : 0;
}

static const void *inside(const struct nlattr *a)
{
    return (const uint8_t *)a + NLA_HDRLEN;
}

static size_t inside_size(const struct nlattr *a)
{
    return a == NULL ? 0 : a->nla_len - NLA_HDRLEN;
}

static const struct nlattr *find_top(const struct nlmsghdr *h, unsigned type)
{
    size_t head = NLMSG_ALIGN(sizeof(struct nfgenmsg));
    return h->nlmsg_len < NLMSG_HDRLEN + head
               ? NULL
               : netlink_find((const uint8_t *)NLMSG_DATA(h) + head, h->nlmsg_len - NLMSG_HDRLEN - head, type);
}

/* The table's name is attribute 1 of all messages about anything in one. */
static bool is_about(const struct nlmsghdr *h, const char *table, size_t size)
{
    const struct nlattr *a = find_top(h, NFTA_TABLE_NAME);
    return inside_size(a) >= size && memcmp(inside(a), table, size) == 0;
}

/* One request in a buffer of its own. */
static void ask(const struct service_kernel *k, struct nft *n, unsigned type, unsigned flags)
{
    *n = (struct nft){.table = k->of->name};
    nft_message(n, type, flags);
}

/* ---- Features ---- */

static bool can_own(struct service_kernel *k)
{
    nft_begin(&k->batch, "reeve-owned-probe");
    k->batch.table_flags = OWNED;
    nft_add_table(&k->batch); /* no end: nothing of it is kept */
    return send_all(k, &k->batch) == 0;
}

int service_kernel_open(const struct service_kernel_table *table, bool own, struct service_kernel **out,
                        struct error *err)
{
    struct service_kernel *k = xcalloc(1, sizeof *k);
    k->of = table;
    k->watch_fd = -1;
    k->fd = open_socket(0, &k->port);
    k->reply = xmalloc(REPLY_BYTES);
    int rc =
        k->fd < 0 ? error_set_errno(err, errno, "cannot open a netlink socket") : table->probe(try_unended, k, err);
    if (rc == 0) {
        k->watch_fd = open_socket(1u << (NFNLGRP_NFTABLES - 1), &k->watch_port);
        rc = k->watch_fd < 0 ? error_set_errno(err, errno, "cannot watch the kernel's packet filter") : 0;
    }
    k->batch.table_flags = rc == 0 && own && can_own(k) ? OWNED : 0;
    if (rc != 0) {
        service_kernel_close(k);
        return rc;
    }
    fcntl(k->watch_fd, F_SETFL, O_NONBLOCK);
    *out = k;
    return 0;
}

void service_kernel_close(struct service_kernel *k)
{
    for (int i = 0; k != NULL && i < 2; i++) {
        int fd = i == 0 ? k->fd : k->watch_fd;
        if (fd >= 0) {
            close(fd);
        }
    }
    if (k != NULL) {
        nft_close(&k->batch);
        free(k->reply);
        free(k);
    }
}

/* ---- The table ---- */

struct counts {
    const char *table;
    unsigned rules, chains;
};

static void count_rule(const struct nlmsghdr *h, void *data)
{
    struct counts *c = data;
    c->rules += is_about(h, c->table, strlen(c->table) + 1);
}

static void count_chain(const struct nlmsghdr *h, void *data)
{
    struct counts *c = data;
    c->chains += is_about(h, c->table, strlen(c->table) + 1);
}

static struct counts count_skeleton(const struct service_kernel *k, const void *with)
{
    struct counts c = {0};
    struct nft n = {0};
    nft_begin(&n, k->of->name);
    k->of->write(&n, with);
    size_t left = n.buf.size;
    for (struct nlmsghdr *h = (void *)n.buf.data; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
        c.rules += h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE);
        c.chains += h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN);
    }
    nft_close(&n);
    return c;
}

bool service_kernel_is_whole(struct service_kernel *k, const void *with)
{
    struct counts wanted = count_skeleton(k, with), got = {.table = k->of->name};
    struct nft n;
    ask(k, &n, NFT_MSG_GETRULE, NLM_F_DUMP);
    nft_put_text(&n, NFTA_RULE_TABLE, k->of->name);
    nft_message_end(&n);
    int rc = list(k, &n, count_rule, &got);
    nft_close(&n);
    if (rc == 0) {
        ask(k, &n, NFT_MSG_GETCHAIN, NLM_F_DUMP);
        nft_message_end(&n);
        rc = list(k, &n, count_chain, &got);
        nft_close(&n);
    }
    return rc == 0 && wanted.rules == got.rules && wanted.chains == got.chains;
}

void service_kernel_claim(struct service_kernel *k)
{
    if (k->batch.table_flags != 0) {
        nft_begin(&k->batch, k->of->name);
        nft_add_table(&k->batch);
        (void)commit(k, "whose it is", NULL); /* of one that never was anybody's own the kernel does not take it */
    }
}

struct names {
    const char *prefix;
    char list[16][64];
    unsigned count;
};

static void note_table(const struct nlmsghdr *h, void *data)
{
    struct names *names = data;
    const struct nlattr *a = find_top(h, NFTA_TABLE_NAME);
    if (is_about(h, names->prefix, strlen(names->prefix)) && names->count < 16) {
        snprintf(names->list[names->count++], sizeof names->list[0], "%s", (const char *)inside(a));
    }
}

static int own_tables(struct service_kernel *k, struct names *names)
{
    struct nft n;
    *names = (struct names){.prefix = k->of->prefix};
    ask(k, &n, NFT_MSG_GETTABLE, NLM_F_DUMP);
    nft_message_end(&n);
    int rc = list(k, &n, note_table, names);
    nft_close(&n);
    return rc;
}

static void put_changes(struct service_kernel *k, const struct nft_change *list, unsigned count);

/* The list of tables may be old when the transaction comes: then once more. write NULL: they go. */
static int replace(struct service_kernel *k, void (*write)(struct nft *n, const void *with), const void *with,
                   const struct nft_change *list, unsigned count, const char *what, struct error *err)
{
    struct error e = {0};
    int rc = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct names names;
        rc = own_tables(k, &names);
        if (rc != 0) {
            rc = error_set_errno(&e, -rc, "cannot list the kernel's tables");
            continue;
        }
        if (names.count == 0 && write == NULL) {
            return 0;
        }
        nft_begin(&k->batch, k->of->name);
        for (unsigned t = 0; t < names.count; t++) {
            nft_delete_table(&k->batch, names.list[t]);
        }
        if (write != NULL) {
            write(&k->batch, with);
            put_changes(k, list, count);
        }
        rc = commit(k, what, &e);
        if (rc == 0) {
            return 0;
        }
    }
    return error_set(err, rc, "%s", e.message);
}

int service_kernel_rebuild(struct service_kernel *k, const void *with, const struct nft_change *list, unsigned count,
                           struct error *err)
{
    assert(count <= SERVICE_KERNEL_CHANGES_MAX);
    return replace(k, k->of->write, with, list, count, "its chains and rules", err);
}

int service_kernel_remove(struct service_kernel *k, struct error *err)
{
    return replace(k, NULL, NULL, NULL, 0, "it cannot be removed", err);
}

int service_kernel_drop(struct service_kernel *k, const char *table, struct error *err)
{
    nft_begin(&k->batch, k->of->name);
    nft_delete_table(&k->batch, table);
    nft_end(&k->batch);
    int rc = send_all(k, &k->batch);
    return rc == 0 || rc == -ENOENT ? 0 : error_set_errno(err, -rc, "cannot delete the table %s", table);
}

int service_kernel_change(struct service_kernel *k, void (*write)(struct nft *n, const void *with), const void *with,
                          const char *what, struct error *err)
{
    nft_begin(&k->batch, k->of->name);
    write(&k->batch, with);
    return commit(k, what, err);
}

/* ---- Elements ---- */

#define RANGE_END_BYTES 4u

/* Two keys, the first and the last, for a range: they differ at the end. */
static void put_element(struct nft *n, const struct nft_set_kind *kind, const struct nft_change *c, bool add)
{
    size_t one = nft_nest(n, NFTA_LIST_ELEM);
    if (kind->ranges) {
        uint8_t last[NFT_KEY_BYTES];
        size_t bytes = kind->key_bytes - RANGE_END_BYTES;
        memcpy(last, c->key, bytes - RANGE_END_BYTES);
        memcpy(last + bytes - RANGE_END_BYTES, c->key + bytes, RANGE_END_BYTES);
        nft_put_value(n, NFTA_SET_ELEM_KEY, c->key, bytes);
        nft_put_value(n, NFTA_SET_ELEM_KEY_END, last, bytes);
    } else {
        nft_put_value(n, NFTA_SET_ELEM_KEY, c->key, kind->key_bytes);
    }
    if (add && kind->data_bytes > 0) {
        nft_put_value(n, NFTA_SET_ELEM_DATA, c->data, kind->data_bytes);
    }
    nft_nest_end(n, one);
}

static void begin_elements(struct nft *n, unsigned type, const struct nft_set_kind *kind, size_t *nest)
{
    nft_message(n, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
    nft_put_text(n, NFTA_SET_ELEM_LIST_TABLE, n->table);
    nft_put_text(n, NFTA_SET_ELEM_LIST_SET, kind->name);
    *nest = nft_nest(n, NFTA_SET_ELEM_LIST_ELEMENTS);
}

/* Those of one set that are added, or deleted, in as few messages as they fit into. */
static void put_elements(struct service_kernel *k, const struct nft_change *list, unsigned count, unsigned set,
                         bool add)
{
    struct nft *n = &k->batch;
    const struct nft_set_kind *kind = &k->of->sets[set];
    unsigned open = 0;
    size_t nest = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct nft_change *c = &list[i];
        if (c->set != set || (add ? !c->add : c->add && !c->replaces)) {
            continue;
        }
        if (open == MESSAGE_ELEMENTS) {
            nft_nest_end(n, nest);
            nft_message_end(n);
            open = 0;
        }
        if (open++ == 0) {
            begin_elements(n, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, kind, &nest);
        }
        put_element(n, kind, c, add);
    }
    if (open > 0) {
        nft_nest_end(n, nest);
        nft_message_end(n);
    }
}

static void put_changes(struct service_kernel *k, const struct nft_change *list, unsigned count)
{
    for (unsigned set = 0; set < k->of->sets_count; set++) {
        put_elements(k, list, count, set, false); /* an element cannot be changed: out, and in again */
        put_elements(k, list, count, set, true);
    }
}

int service_kernel_apply(struct service_kernel *k, const struct nft_change *list, unsigned count, struct error *err)
{
    assert(count <= SERVICE_KERNEL_CHANGES_MAX);
    nft_begin(&k->batch, k->of->name);
    put_changes(k, list, count);
    return commit(k, "elements", err);
}

struct reading {
    const struct nft_set_kind *kind;
    unsigned set;
    struct service_element *list;
    size_t count, cap;
};

static const void *value_of(const struct nlattr *element, unsigned attribute, size_t size)
{
    const struct nlattr *v = netlink_find_in(netlink_find_in(element, attribute), NFTA_DATA_VALUE);
    return inside_size(v) == size ? inside(v) : NULL;
}

static void read_elements(const struct nlmsghdr *h, void *data)
{
    struct reading *r = data;
    const struct nft_set_kind *kind = r->kind;
    const struct nlattr *outer = find_top(h, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t left = inside_size(outer), step = 0;
    for (const uint8_t *at = outer == NULL ? NULL : inside(outer); left >= NLA_HDRLEN; at += step, left -= step) {
        const struct nlattr *e = (const void *)at;
        struct service_element out = {.set = r->set};
        if (e->nla_len < NLA_HDRLEN || e->nla_len > left) {
            return;
        }
        step = MIN(NLA_ALIGN(e->nla_len), left);
        bool range = kind->ranges;
        size_t key_bytes = range ? kind->key_bytes - RANGE_END_BYTES : kind->key_bytes;
        const uint8_t *first = value_of(e, NFTA_SET_ELEM_KEY, key_bytes);
        const uint8_t *last = value_of(e, NFTA_SET_ELEM_KEY_END, key_bytes);
        const uint8_t *content = value_of(e, NFTA_SET_ELEM_DATA, kind->data_bytes);
        if (first == NULL || (range && last == NULL) || (kind->data_bytes > 0 && content == NULL)) {
            continue;
        }
        memcpy(out.key, first, key_bytes);
        if (range) {
            memcpy(out.key + key_bytes, last + key_bytes - RANGE_END_BYTES, RANGE_END_BYTES);
        }
        if (content != NULL && kind->data_bytes > 0) {
            memcpy(out.data, content, kind->data_bytes);
        }
        if (r->count == r->cap) {
            r->cap = MAX((size_t)1024, r->cap * 2);
            r->list = xrealloc(r->list, r->cap * sizeof *r->list);
        }
        r->list[r->count++] = out;
    }
}

int service_kernel_read(const struct service_kernel_table *table, struct service_element **out, size_t *count,
                        struct error *err)
{
    struct service_kernel k = {.of = table, .fd = -1, .watch_fd = -1};
    struct reading r = {0};
    k.fd = open_socket(0, &k.port);
    int rc = k.fd < 0 ? -errno : 0;
    k.reply = xmalloc(REPLY_BYTES);
    for (r.set = 0; rc == 0 && r.set < table->sets_count; r.set++) {
        struct nft n;
        r.kind = &table->sets[r.set];
        ask(&k, &n, NFT_MSG_GETSETELEM, NLM_F_DUMP);
        nft_put_text(&n, NFTA_SET_ELEM_LIST_TABLE, table->name);
        nft_put_text(&n, NFTA_SET_ELEM_LIST_SET, r.kind->name);
        nft_message_end(&n);
        rc = list(&k, &n, read_elements, &r);
        nft_close(&n);
    }
    if (k.fd >= 0) {
        close(k.fd);
    }
    free(k.reply);
    *out = r.list;
    *count = r.count;
    return rc == 0 ? 0 : error_set_errno(err, -rc, "cannot read the kernel's table of %s", table->what);
}

/* It answers in the order of the questions, and ends with the first that is not there. */
static int compare_set(struct service_kernel *k, unsigned set, const struct nft_change *const *asked, unsigned count,
                       unsigned *first)
{
    const struct nft_set_kind *kind = &k->of->sets[set];
    struct reading r = {.kind = kind, .set = set};
    struct nft n;
    size_t nest;
    ask(k, &n, NFT_MSG_GETSETELEM, NLM_F_ACK);
    nft_put_text(&n, NFTA_SET_ELEM_LIST_TABLE, k->of->name);
    nft_put_text(&n, NFTA_SET_ELEM_LIST_SET, kind->name);
    nest = nft_nest(&n, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (unsigned i = 0; i < count; i++) {
        put_element(&n, kind, asked[i], false);
    }
    nft_nest_end(&n, nest);
    nft_message_end(&n);
    int rc = list(k, &n, read_elements, &r);
    nft_close(&n);
    *first = 0;
    while (*first < r.count && *first < count && memcmp(r.list[*first].key, asked[*first]->key, NFT_KEY_BYTES) == 0 &&
           memcmp(r.list[*first].data, asked[*first]->data, NFT_DATA_BYTES) == 0) {
        ++*first;
    }
    free(r.list);
    return *first == count ? 0 : rc == 0 || rc == -ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM;
}

int service_kernel_compare(struct service_kernel *k, const struct nft_change *items, unsigned count, unsigned *differs)
{
    const struct nft_change *asked[MESSAGE_ELEMENTS];
    int rc = 0;
    *differs = UINT_MAX;
    for (unsigned set = 0; rc == 0 && set < k->of->sets_count; set++) {
        for (unsigned i = 0, n = 0; rc == 0 && i < count; i++) {
            unsigned first;
            if (items[i].set == set) {
                asked[n++] = &items[i];
            }
            if (n > 0 && (n == MESSAGE_ELEMENTS || i + 1 == count)) {
                rc = compare_set(k, set, asked, n, &first);
                *differs = rc == ERR_NOT_FOUND ? (unsigned)(asked[first] - items) : *differs;
                n = 0;
            }
        }
    }
    return rc;
}

/* ---- Who else changes it ---- */

int service_kernel_watch(struct service_kernel *k)
{
    return k->watch_fd;
}

/* The kernel tells of a transaction after it is done, message by message; the new generation is the last. Before that
 * nothing is made of it: what came behind would look like another one. */
static enum service_touched hear(struct service_kernel *k, const struct nlmsghdr *h)
{
    unsigned type = h->nlmsg_type & 0xff;
    if (type == NFT_MSG_NEWGEN) {
        enum service_touched how = k->touching;
        k->touching = SERVICE_UNTOUCHED;
        return how;
    }
    if (h->nlmsg_pid != k->port && is_about(h, k->of->name, strlen(k->of->name) + 1)) {
        bool element = type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM;
        k->touching = MAX(k->touching, element ? SERVICE_ELEMENTS_TOUCHED : SERVICE_TABLE_TOUCHED);
    }
    return SERVICE_UNTOUCHED;
}

static void read_generation(const struct nlmsghdr *h, void *data)
{
    const struct nlattr *a = find_top(h, NFTA_GEN_ID);
    if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWGEN && inside_size(a) == 4) {
        memcpy(data, inside(a), 4);
        *(uint32_t *)data = ntohl(*(uint32_t *)data);
    }
}

/* Each transaction of anybody's adds one. 0: it is not known. */
static uint32_t generation(struct service_kernel *k)
{
    uint32_t out = 0;
    struct nft n;
    ask(k, &n, NFT_MSG_GETGEN, NLM_F_ACK);
    nft_message_end(&n);
    int rc = list(k, &n, read_generation, &out);
    nft_close(&n);
    return rc == 0 ? out : 0;
}

static void set_membership(struct service_kernel *k, int option)
{
    int group = NFNLGRP_NFTABLES;
    setsockopt(k->watch_fd, SOL_NETLINK, option, &group, sizeof group);
}

void service_kernel_watch_pause(struct service_kernel *k)
{
    if (!k->paused) {
        k->paused = true;
        k->generation = generation(k);
        k->commits = 0;
        set_membership(k, NETLINK_DROP_MEMBERSHIP);
    }
}

bool service_kernel_watch_resume(struct service_kernel *k)
{
    if (!k->paused) {
        return false;
    }
    k->paused = false;
    set_membership(k, NETLINK_ADD_MEMBERSHIP);
    return k->generation == 0 || generation(k) != k->generation + k->commits;
}

enum service_touched service_kernel_touched(struct service_kernel *k)
{
    enum service_touched worst = SERVICE_UNTOUCHED;
    for (;;) {
        ssize_t got = recv(k->watch_fd, k->reply, REPLY_BYTES, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == ENOBUFS) { /* more than we could take: it has to be looked at */
            worst = MAX(worst, SERVICE_ELEMENTS_TOUCHED);
            continue;
        }
        if (got < 0) {
            return worst;
        }
        size_t left = (size_t)got;
        for (struct nlmsghdr *h = (void *)k->reply; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            enum service_touched how = hear(k, h);
            worst = MAX(worst, how);
        }
    }
}
