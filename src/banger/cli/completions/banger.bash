# bash completion of banger. It asks the `banger` of PATH, whatever was typed: no key runs a program of a repository.

_banger() {
  local cur=$2 files line
  COMPREPLY=()
  {
    IFS= read -r files || return 0
    while IFS= read -r line; do COMPREPLY+=("$line"); done
  } < <(command banger internal-complete bash -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null </dev/null)
  # Nothing follows a `:` or a `=` but what belongs to it.
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then compopt -o nospace; fi
  case $files in
    :files)
      compopt -o filenames
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
      ;;
    :directories)
      compopt -o filenames
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -d -- "$cur")
      ;;
  esac
}

complete -F _banger banger
