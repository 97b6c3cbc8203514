/*
 * grpc_limit: the limit of this machine: empty gRPC calls per second.
 *
 * A closed-loop load client straight on the C core, without a client library between it and
 * the wire: CONCURRENCY unary calls with an empty request are always out, and each answer starts
 * the next. Client and server share the machine, so the figure is what the two manage together.
 *
 *   grpc_limit --address A [--method /grpc.health.v1.Health/Check] [--concurrency 64]
 *              [--seconds 5] [--server-pid PID]
 *
 * Prints one line of JSON; with a process id also what CPU that process spent on each call.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

enum {
    THREADS_MAX = 2,
    CONCURRENCY_MAX = 4096,
    WARM_UP_MS = 300,
    /* Latencies by powers of two with eight steps each: within 12 %. */
    STEPS = 8,
    BUCKETS = 40 * STEPS,
};

struct options {
    const char *address;
    const char *method;
    unsigned concurrency;
    unsigned seconds;
    unsigned server_pid;
};

struct worker {
    const struct options *options;
    unsigned concurrency;
    pthread_t thread;
    grpc_channel *channel;
    grpc_completion_queue *queue;
    void *registered;
    grpc_byte_buffer *request;
    uint64_t from_us; /* Counting starts, */
    uint64_t until_us; /* and calls end. */
    uint64_t calls;
    uint64_t errors;
    int last_error;
    uint64_t latencies[BUCKETS];
};

struct slot {
    struct worker *worker;
    grpc_call *call;
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_byte_buffer *response;
    grpc_status_code status;
    grpc_slice message;
    uint64_t started_us;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t bucket_of(uint64_t us)
{
    unsigned shift = 0;
    while (us >> shift >= 2 * STEPS) {
        shift++;
    }
    size_t bucket = shift * STEPS + (size_t)(us >> shift);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t bucket_us(size_t bucket)
{
    size_t shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    return (uint64_t)(bucket - shift * STEPS) << shift;
}

static void start_call(struct slot *slot)
{
    struct worker *worker = slot->worker;
    grpc_op ops[6];
    memset(ops, 0, sizeof(ops));
    grpc_metadata_array_init(&slot->headers);
    grpc_metadata_array_init(&slot->trailers);
    slot->call = grpc_channel_create_registered_call(worker->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                     worker->queue, worker->registered,
                                                     gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = worker->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &slot->headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &slot->response;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &slot->trailers;
    ops[5].data.recv_status_on_client.status = &slot->status;
    ops[5].data.recv_status_on_client.status_details = &slot->message;
    slot->started_us = now_us();
    if (grpc_call_start_batch(slot->call, ops, 6, slot, NULL) != GRPC_CALL_OK) {
        fprintf(stderr, "grpc_limit: a batch was refused\n");
        exit(1);
    }
}

static void end_call(struct slot *slot, uint64_t at_us)
{
    struct worker *worker = slot->worker;
    if (slot->status != GRPC_STATUS_OK) {
        worker->errors++;
        worker->last_error = (int)slot->status;
    } else if (at_us >= worker->from_us && at_us < worker->until_us) {
        worker->calls++;
        worker->latencies[bucket_of(at_us - slot->started_us)]++;
    }
    grpc_metadata_array_destroy(&slot->headers);
    grpc_metadata_array_destroy(&slot->trailers);
    grpc_slice_unref(slot->message);
    grpc_byte_buffer_destroy(slot->response);
    grpc_call_unref(slot->call);
    slot->response = NULL;
}

static void *run(void *context)
{
    struct worker *worker = (struct worker *)context;
    struct slot *slots = calloc(worker->concurrency, sizeof(*slots));
    unsigned out = worker->concurrency;
    if (slots == NULL) {
        abort();
    }
    for (unsigned i = 0; i < worker->concurrency; i++) {
        slots[i].worker = worker;
        start_call(&slots[i]);
    }
    while (out > 0) {
        grpc_event event =
            grpc_completion_queue_next(worker->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        struct slot *slot = (struct slot *)event.tag;
        uint64_t at_us = now_us();
        end_call(slot, at_us);
        if (at_us < worker->until_us && worker->errors == 0) {
            start_call(slot);
        } else {
            out--;
        }
    }
    free(slots);
    return NULL;
}

static void worker_init(struct worker *worker, const struct options *options, unsigned concurrency)
{
    /* A connection of its own: the core would share one between equal channels. */
    grpc_arg own = {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL};
    grpc_channel_args args = {1, &own};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    own.value.integer = 1;
    memset(worker, 0, sizeof(*worker));
    worker->options = options;
    worker->concurrency = concurrency;
    worker->queue = grpc_completion_queue_create_for_next(NULL);
    worker->channel = grpc_channel_create(options->address, plain, &args);
    grpc_channel_credentials_release(plain);
    worker->registered = grpc_channel_register_call(worker->channel, options->method, NULL, NULL);
    worker->request = grpc_raw_byte_buffer_create(NULL, 0);
    worker->from_us = now_us() + WARM_UP_MS * 1000;
    worker->until_us = worker->from_us + (uint64_t)options->seconds * 1000000;
}

static void worker_fini(struct worker *worker)
{
    grpc_byte_buffer_destroy(worker->request);
    grpc_channel_destroy(worker->channel);
    grpc_completion_queue_shutdown(worker->queue);
    while (
        grpc_completion_queue_next(worker->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
        GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(worker->queue);
}

/* utime + stime of a process, in microseconds; 0 when it cannot be known. */
static uint64_t cpu_us(unsigned pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long kernel = 0;
    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    int read = fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                      &user, &kernel);
    fclose(file);
    return read == 2 ? (user + kernel) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK) : 0;
}

static uint64_t percentile_us(const struct worker *total, double share)
{
    uint64_t wanted = (uint64_t)((double)total->calls * share);
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += total->latencies[i];
        if (seen > wanted) {
            return bucket_us(i);
        }
    }
    return 0;
}

static void print_total(const struct options *options, const struct worker *total, uint64_t cpu)
{
    printf("{\"bench\": \"grpc_limit\", \"method\": \"%s\", \"concurrency\": %u, "
           "\"seconds\": %u, \"calls\": %lu, \"calls_per_s\": %.0f, \"p50_us\": %lu, "
           "\"p99_us\": %lu, \"errors\": %lu",
           options->method, options->concurrency, options->seconds, (unsigned long)total->calls,
           (double)total->calls / options->seconds, (unsigned long)percentile_us(total, 0.5),
           (unsigned long)percentile_us(total, 0.99), (unsigned long)total->errors);
    if (options->server_pid != 0 && total->calls > 0) {
        printf(", \"server_cpu_us_per_call\": %.1f", (double)cpu / (double)total->calls);
    }
    printf("}\n");
}

static int measure(const struct options *options)
{
    unsigned threads = options->concurrency < THREADS_MAX ? options->concurrency : THREADS_MAX;
    struct worker workers[THREADS_MAX];
    struct worker total = {0};
    for (unsigned i = 0; i < threads; i++) {
        unsigned share = options->concurrency / threads + (i < options->concurrency % threads);
        worker_init(&workers[i], options, share);
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    usleep(WARM_UP_MS * 1000);
    uint64_t cpu = cpu_us(options->server_pid);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        total.calls += workers[i].calls;
        total.errors += workers[i].errors;
        total.last_error = workers[i].errors > 0 ? workers[i].last_error : total.last_error;
        for (size_t j = 0; j < BUCKETS; j++) {
            total.latencies[j] += workers[i].latencies[j];
        }
        worker_fini(&workers[i]);
    }
    print_total(options, &total, cpu_us(options->server_pid) - cpu);
    if (total.errors > 0) {
        fprintf(stderr, "grpc_limit: calls failed, the last with status %d\n", total.last_error);
    }
    return total.errors > 0 || total.calls == 0 ? 1 : 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: grpc_limit --address HOST:PORT [--method /package.Service/Method]\n"
                    "                  [--concurrency 1..4096] [--seconds 1..] "
                    "[--server-pid PID]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"address", required_argument, NULL, 'a'},     {"method", required_argument, NULL, 'm'},
        {"concurrency", required_argument, NULL, 'c'}, {"seconds", required_argument, NULL, 's'},
        {"server-pid", required_argument, NULL, 'p'},  {NULL, 0, NULL, 0},
    };
    struct options options = {
        .method = "/grpc.health.v1.Health/Check", .concurrency = 64, .seconds = 5};
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (name) {
        case 'a':
            options.address = optarg;
            break;
        case 'm':
            options.method = optarg;
            break;
        case 'c':
            options.concurrency = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            options.server_pid = (unsigned)strtoul(optarg, NULL, 10);
            break;
        default:
            return usage();
        }
    }
    if (options.address == NULL || options.seconds == 0 || options.concurrency == 0 ||
        options.concurrency > CONCURRENCY_MAX || optind != argc) {
        return usage();
    }
    grpc_init();
    int code = measure(&options);
    grpc_shutdown();
    return code;
}
