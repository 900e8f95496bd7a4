<?php
// php calls.php PORT CALL [ARGUMENT ...]
// Makes one call of GearmanClient's that waits for its answer, and prints it.

[, $port, $call] = $argv;
$arguments = array_slice($argv, 3);

$client = new GearmanClient();
$client->addServer('127.0.0.1', (int) $port);

if ($call === 'ping') {
    $answer = $client->ping('are you there');
} elseif ($call === 'many') {
    // Tasks of all priorities in one go, in the order in which they end.
    $answer = [];
    $client->setCompleteCallback(function (GearmanTask $task) use (&$answer): void {
        $answer[$task->unique()] = $task->data();
    });
    foreach (['addTask', 'addTaskHigh', 'addTaskLow'] as $method) {
        foreach (['a', 'b', 'c'] as $workload) {
            $client->$method('upper', "$method $workload", null, "$method $workload");
        }
    }
    $client->runTasks();
    ksort($answer);
} else {
    $answer = @$client->$call(...$arguments);
}
if ($client->returnCode() === GEARMAN_WORK_FAIL) {
    $answer = 'the job failed';
}
echo json_encode($answer), "\n";
