/* Messages of netlink: asked and answered over a socket, written attribute by attribute, and read without trusting a
 * length in them.
 *
 * Source: linux/netlink.h, netlink(7). Calls block for as long as the kernel needs for its answer; nobody else is
 * waited for. */
#ifndef AGENT_NETWORK_NETLINK_H
#define AGENT_NETWORK_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* ---- Reading: pure ---- */

/* The first attribute of this type among the n bytes at p; borrowed from them. NULL: there is none, or one before it
 * has a length that cannot be. */
const struct nlattr *netlink_find(const void *p, size_t n, unsigned type);
/* The same among the attributes inside another one; outer may be NULL, and then so is the answer. */
const struct nlattr *netlink_find_in(const struct nlattr *outer, unsigned type);
/* The same among those of a message whose own head (struct rtmsg and its like) has so many bytes. */
const struct nlattr *netlink_find_behind(const struct nlmsghdr *h, size_t head_bytes, unsigned type);
/* Copies an attribute's first n bytes. False: it is NULL or shorter, and *to is as before. */
bool netlink_copy(void *to, const struct nlattr *a, size_t n);

/* ---- Writing: pure ---- */

#define NETLINK_REQUEST_MAX 512u /* asserted */
struct netlink_request {
    union {
        struct nlmsghdr head;
        uint8_t bytes[NETLINK_REQUEST_MAX];
    };
};
/* head: struct rtmsg and its like. flags: NLM_F_* beside NLM_F_REQUEST. */
void netlink_begin(struct netlink_request *r, unsigned type, unsigned flags, const void *head, size_t head_bytes);
void netlink_put(struct netlink_request *r, unsigned attribute, const void *p, size_t n);
/* Attributes as the kernel has written them. */
void netlink_put_raw(struct netlink_request *r, const void *attributes, size_t n);
void netlink_put_u8(struct netlink_request *r, unsigned attribute, uint8_t value);
void netlink_put_u32(struct netlink_request *r, unsigned attribute, uint32_t value); /* in the machine's byte order */
void netlink_put_text(struct netlink_request *r, unsigned attribute, const char *text);
size_t netlink_nest(struct netlink_request *r, unsigned attribute);
void netlink_nest_end(struct netlink_request *r, size_t nest);

/* ---- Asking ---- */

#define NETLINK_REPLY_BYTES (64u << 10)
struct netlink {
    int fd;
    uint32_t port; /* the socket's address: what the kernel tells of our own changes has it as nlmsg_pid */
    uint32_t sequence;
    uint8_t *reply; /* NETLINK_REPLY_BYTES */
};
/* Of the network namespace of the calling thread. 0 or -errno; after an error netlink_close is allowed. */
int netlink_open(struct netlink *n, int protocol);
/* For a socket that is told of changes: it does not block, and has room for many of them. */
void netlink_make_watch(struct netlink *n);
void netlink_close(struct netlink *n);
/* A change: 0 or what the kernel says, -errno. */
int netlink_ask(struct netlink *n, struct netlink_request *r);
/* A question: each message of the answer is shown. 0 or -errno; -EAGAIN: what was listed (NLM_F_DUMP) changed
 * meanwhile, so that it may have gaps. */
typedef void netlink_each(const struct nlmsghdr *h, void *data);
int netlink_list(struct netlink *n, struct netlink_request *r, netlink_each *each, void *data);

#endif
