# fish completion of banger. It asks the `banger` of PATH, whatever was typed: no key runs a program of a repository.

function __banger_complete
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l current (commandline -ct)
    set -l answer (command banger internal-complete fish -- $typed "$current" 2>/dev/null </dev/null)
    set -l files $answer[1]
    set -e answer[1]
    printf '%s\n' $answer
    switch "$files"
        case :files
            __fish_complete_path $current
        case :directories
            __fish_complete_directories $current
    end
end

complete -c banger -f -a '(__banger_complete)'
