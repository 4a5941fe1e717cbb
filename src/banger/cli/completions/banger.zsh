#compdef banger
# zsh completion of banger. It asks the `banger` of PATH, whatever was typed: no key runs a program of a repository.

_banger() {
  local -a answer typed
  typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
  answer=("${(@f)$(command banger internal-complete zsh -- "${typed[@]}" 2>/dev/null </dev/null)}")
  local files=${answer[1]}
  shift answer
  local -a open closed
  open=("${(@M)answer:#*\\:*}")
  closed=("${(@)answer:#*\\:*}")
  local found=1
  if (( ${#closed} )) && _describe -V banger closed; then found=0; fi
  if (( ${#open} )) && _describe -V banger open -S ''; then found=0; fi
  case $files in
    :files) _files && found=0 ;;
    :directories) _files -/ && found=0 ;;
  esac
  return found
}

if [[ ${funcstack[1]} == _banger ]]; then
  _banger "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
  compdef _banger banger
fi
