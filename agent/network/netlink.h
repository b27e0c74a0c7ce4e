/* Attributes of netlink messages, as the kernel sends them: found without trusting a length in them.
 *
 * Source: linux/netlink.h (struct nlattr). Pure. */
#ifndef AGENT_NETWORK_NETLINK_H
#define AGENT_NETWORK_NETLINK_H

#include <stddef.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* The first attribute of this type among the n bytes at p; borrowed from them. NULL: there is none, or one before it
 * has a length that cannot be. */
const struct nlattr *netlink_find(const void *p, size_t n, unsigned type);
/* The same among the attributes inside another one; outer may be NULL, and then so is the answer. */
const struct nlattr *netlink_find_in(const struct nlattr *outer, unsigned type);

#endif
