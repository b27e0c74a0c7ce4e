/* What a feed is: shared by master/nodes/feeds.c (who follows what, streams) and feeds_refs.c (what pods name). */
#ifndef MASTER_NODES_FEEDS_INT_H
#define MASTER_NODES_FEEDS_INT_H

#include "master/master.h"
#include "master/nodes/moments.h"
#include "master/nodes/policing.h"
#include "master/nodes/serving.h"

struct node_feeds {
    struct master *m;
    struct list all, dirty;
    struct list routers;     /* feeds of routes */
    struct list servers;     /* feeds of services */
    struct list guards;      /* feeds of policies */
    struct strmap by_node;   /* node -> struct group of its feeds */
    struct strmap by_object; /* "kind/ns/name" -> struct group of tolds */
    size_t sent;             /* bytes, in this turn */
    struct routes *routes;
    bool routes_known;         /* since somebody follows them */
    bool routes_held;          /* something has changed of which they have not been told (node_feeds_tick) */
    struct serving *serving;   /* NULL while nobody follows it */
    struct moments moments;    /* of what serving is made of, whether anybody follows it or not */
    struct policing *policing; /* likewise */
};
enum feed_sort { FEED_REFS, FEED_ROUTES, FEED_SERVICES, FEED_POLICIES };
struct group {
    struct list members;
    size_t key_size;
    char key[];
};
struct feed {
    struct list link;
    struct list group_link; /* in its node's group */
    struct list peer_link;  /* among the routers, the servers or the guards */
    struct list dirty_link; /* while it is dirty and was not refused */
    struct node_feeds *feeds;
    struct group *group;
    struct master *m;
    struct session *session; /* whose stream it is; to be compared only */
    struct rpc_stream *stream;
    char node[PKI_NAME_MAX + 1];
    enum feed_sort sort;
    bool dirty, ended, introduced;
    bool walk;           /* refs: what the pods name may have changed, not only what they named before */
    uint64_t mark;       /* of the last walk */
    struct strmap told;  /* refs: "kind/ns/name" -> struct told */
    struct list changed; /* refs: struct told, of objects that have changed */
    bool route_changes;  /* the agent understands them */
    uint64_t routes_sent;
    struct serving_place served;    /* services */
    struct policing_place *policed; /* policies; NULL: not yet */
};
struct told {
    struct list group_link, changed_link;
    struct feed *feed;
    struct group *group; /* of those who follow the same object; its key is ours */
    const struct kind *kind;
    struct str ns, name; /* inside of the key */
    uint64_t revision;   /* 0 = absent, and the agent knows */
    uint64_t mark;       /* walk in which a pod named it */
};

/* feeds.c */
/* As rpc_stream_write. */
int feed_send(struct feed *f, struct str payload);
void feed_mark_dirty(struct feed *f);
struct group *feeds_group_get(struct strmap *groups, struct str key);
void feeds_group_leave(struct strmap *groups, struct group *g, struct list *member);

/* feeds_refs.c */
int feed_send_refs(struct feed *f, const struct view *v);
void feed_forget_told(struct feed *f); /* all; the feed ends */
/* A pod, an object whose content pods name, a volume has changed. */
void feeds_note_pod(struct node_feeds *feeds, const struct change *ch);
void feeds_note_object(struct node_feeds *feeds, const struct object *o);
void feeds_note_volume(struct node_feeds *feeds, const struct change *ch);

#endif
