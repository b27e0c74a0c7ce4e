/* Intrusive doubly linked list: the head is a node that links to itself when empty. No allocation to link. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

#include "base/mem.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_push_back(struct list *head, struct list *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}
static inline void list_push_front(struct list *head, struct list *n)
{
    list_push_back(head->next, n);
}
/* Unlink and leave the node empty, so that removing twice is harmless. */
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_FOR(it, head)             for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current node may be removed inside the body. */
#define LIST_FOR_SAFE(it, head)                                                                                        \
    for (struct list *it = (head)->next, *it##_next_ = it->next; it != (head); it = it##_next_, it##_next_ = it->next)

#endif
