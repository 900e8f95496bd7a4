/* features COMMAND PORT ARGUMENT...
   What libgearman can and the command-line tools do not show. */

#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gearman_client_st *client;

/* Submit a background job that runs at a time; print its handle. */
static int epoch(const char *function, const char *unique, const char *workload,
                 const char *when)
{
  gearman_task_attr_t at =
      gearman_task_attr_init_epoch(atol(when), GEARMAN_JOB_PRIORITY_NORMAL);
  gearman_argument_t argument = gearman_argument_make(NULL, 0, workload, strlen(workload));
  gearman_task_st *task = gearman_execute(client, function, strlen(function), unique,
                                          strlen(unique), &at, &argument, NULL);
  if (task == NULL)
    return 1;
  puts(gearman_task_job_handle(task));
  return 0;
}

/* Print what is known of the job that has this unique. */
static int status(const char *unique)
{
  gearman_status_t found = gearman_client_unique_status(client, unique, strlen(unique));
  if (gearman_failed(gearman_status_return(found)))
    return 1;
  printf("%d %d %u %u\n", gearman_status_is_known(found), gearman_status_is_running(found),
         gearman_status_numerator(found), gearman_status_denominator(found));
  return 0;
}

/* Let a worker divide the workload into jobs of the reducer; print what it made of
   their results. */
static int reduce(const char *splitter, const char *reducer, const char *workload)
{
  gearman_argument_t argument = gearman_argument_make(NULL, 0, workload, strlen(workload));
  gearman_task_st *task =
      gearman_execute_by_partition(client, splitter, strlen(splitter), reducer,
                                   strlen(reducer), NULL, 0, NULL, &argument, NULL);
  if (task == NULL || gearman_failed(gearman_task_return(task)))
    return 1;
  gearman_result_st *result = gearman_task_result(task);
  printf("%.*s\n", (int)gearman_result_size(result), gearman_result_value(result));
  return 0;
}

/* One job of the reducer for each word. */
static gearman_return_t split(gearman_job_st *job, void *context)
{
  (void)context;
  const char *word = gearman_job_workload(job);
  const char *end = word + gearman_job_workload_size(job);
  while (word < end) {
    const char *blank = memchr(word, ' ', end - word);
    size_t size = (blank ? blank : end) - word;
    gearman_return_t sent = gearman_job_send_data(job, word, size);
    if (gearman_failed(sent))
      return sent;
    word += size + 1;
  }
  return GEARMAN_SUCCESS;
}

/* All results, the last word first, as libgearman lists its tasks. */
static gearman_return_t join(gearman_aggregator_st *aggregator, gearman_task_st *task,
                             gearman_result_st *joined)
{
  (void)aggregator;
  char buffer[1024] = "";
  for (; task != NULL; task = gearman_next(task)) {
    gearman_result_st *result = gearman_task_result(task);
    strncat(buffer, gearman_result_value(result), gearman_result_size(result));
  }
  return gearman_result_store_value(joined, buffer, strlen(buffer));
}

/* Do one job, with an id, that divides its workload. */
static int divide(int port, const char *function)
{
  gearman_worker_st *worker = gearman_worker_create(NULL);
  gearman_worker_add_server(worker, "127.0.0.1", port);
  gearman_worker_set_identifier(worker, "divider", strlen("divider"));
  gearman_worker_define_function(worker, function, strlen(function),
                                 gearman_function_create_partition(split, join), 0, NULL);
  gearman_return_t worked = gearman_worker_work(worker);
  gearman_worker_free(worker);
  return gearman_failed(worked);
}

/* Lose the connection with the job, for as often as is left. */
static gearman_return_t lose(gearman_job_st *job, void *left)
{
  (void)job;
  printf("attempt\n");
  fflush(stdout);
  return (*(int *)left)-- > 0 ? GEARMAN_ERROR : GEARMAN_SUCCESS;
}

/* Be lost with jobs so many times, and then do jobs for ever. */
static int stumble(int port, const char *function, int times)
{
  gearman_worker_st *worker = gearman_worker_create(NULL);
  gearman_worker_add_server(worker, "127.0.0.1", port);
  gearman_worker_define_function(worker, function, strlen(function),
                                 gearman_function_create(lose), 0, &times);
  for (;;)
    gearman_worker_work(worker);
}

/* Have a job done, and print how that ended. */
static int call(const char *function)
{
  gearman_return_t done;
  gearman_client_do(client, function, NULL, NULL, 0, NULL, &done);
  printf("%s\n", gearman_success(done) ? "done" : gearman_strerror(done));
  return 0;
}

int main(int count, char **words)
{
  if (count < 4)
    return 2;
  int port = atoi(words[2]);
  client = gearman_client_create(NULL);
  gearman_client_add_server(client, "127.0.0.1", port);
  if (!strcmp(words[1], "epoch") && count == 7)
    return epoch(words[3], words[4], words[5], words[6]);
  if (!strcmp(words[1], "status"))
    return status(words[3]);
  if (!strcmp(words[1], "reduce") && count == 6)
    return reduce(words[3], words[4], words[5]);
  if (!strcmp(words[1], "divide"))
    return divide(port, words[3]);
  if (!strcmp(words[1], "stumble") && count == 5)
    return stumble(port, words[3], atoi(words[4]));
  if (!strcmp(words[1], "call"))
    return call(words[3]);
  return 2;
}
